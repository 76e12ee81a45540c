package io.github.flpn.pose;

/**
 * Follows one person: a frame's joints say where to look in the next one. One run of the model a frame:
 *
 * <pre>{@code
 * Box looked = tracker.look(height, width, seconds); // crop this, run the model, decode, un-crop
 * if (tracker.update(pose)) show(pose);
 * else if (!tracker.isFollowing()) showNothing();
 * }</pre>
 *
 * <p>Where nobody is followed, one frame is looked at as a whole and the next in the box around what was found there.
 * Who is followed is looked for in a larger box once in {@link #SEARCH_INTERVAL}, lest the box stay on a part of them.
 * Who is lost is looked for in the same place and in the whole picture by turns, for {@link #MEMORY}.
 *
 * <p>One tracker a video, used by one thread at a time.
 */
public final class PersonTracker {
    /** Added on every side, of the joints' longer side: joints lie inside a person's box. */
    public static final double MARGIN = 0.08;

    /** The mean score of all joints from which a new person is believed. */
    public static final double BELIEF_IN_NEW = 0.25;

    /** The mean score of all joints from which a known person is believed. */
    public static final double BELIEF_IN_KNOWN = 0.2;

    /** Seconds from one search to the next. */
    public static final double SEARCH_INTERVAL = 1;

    /** Seconds for which a lost person is known. */
    public static final double MEMORY = 1;

    /** The box of a search, in sides of the followed one. */
    public static final double LARGER = 1.6;

    /** How far an edge may go inwards in a frame, of the box's longer side. */
    public static final double FASTEST_SHRINKING = 0.03;

    private enum Look {
        /** At the whole picture. */
        WHOLE,
        /** At what was found there, or at a given box. */
        CLOSER,
        /** At the followed box. */
        FOLLOWED,
        /** At a larger one. */
        SEARCH
    }

    private Look look = Look.WHOLE;
    /** What {@link #update} is to tell of, null where it told. */
    private Box looked;
    private int imageHeight;
    private int imageWidth;
    private double now = Double.NEGATIVE_INFINITY;
    /** Where to look closer next, or null. */
    private Box closer;
    /** Of the person, null where nobody is known. */
    private Box box;
    /** Of the last frame in which they were found. */
    private Pose before;
    private double belief;
    private double seen;
    private double nextSearch;
    private boolean following;

    /** A tracker that knows nobody. */
    public PersonTracker() {}

    /**
     * Where to look in the next frame.
     *
     * @param imageHeight pixels
     * @param imageWidth pixels
     * @param seconds when the picture was taken, above that of the call before
     * @return a box for {@link CropTransform}; the pose found in it is for {@link #update}
     * @throws IllegalArgumentException a time that is not above the last one
     */
    public Box look(int imageHeight, int imageWidth, double seconds) {
        if (!(seconds > now)) {
            throw new IllegalArgumentException(
                    "Time must grow from call to call. Received: " + seconds + " s after " + now + " s");
        }
        now = seconds;
        this.imageHeight = imageHeight;
        this.imageWidth = imageWidth;
        if (box != null && now - seen > MEMORY) {
            forget();
        }
        look = nextLook();
        if (look == Look.SEARCH) {
            nextSearch = now + SEARCH_INTERVAL;
        }
        looked = where();
        closer = null;
        return looked;
    }

    private Box where() {
        switch (look) {
            case CLOSER:
                return closer;
            case FOLLOWED:
                return box;
            case SEARCH:
                return larger(box);
            default:
                return Box.ofImage(imageHeight, imageWidth);
        }
    }

    private Look nextLook() {
        if (closer != null) {
            return Look.CLOSER;
        }
        if (following) {
            return now >= nextSearch ? Look.SEARCH : Look.FOLLOWED;
        }
        return box == null || look == Look.FOLLOWED ? Look.WHOLE : Look.FOLLOWED;
    }

    /**
     * Takes what was found in the box of {@link #look}.
     *
     * @param pose image pixels, as decoded: smoothed joints lag behind. Is copied
     * @return whether it is the person's; {@link #box} is then not null. Where it is not, somebody who {@link
     *     #isFollowing is followed} was only searched for: what was shown last may stay. False too where {@link #look}
     *     was not called before
     */
    public boolean update(Pose pose) {
        Box looked = this.looked;
        this.looked = null;
        if (looked == null) {
            return false;
        }
        double found = belief(pose);
        switch (look) {
            case CLOSER:
                return found >= BELIEF_IN_NEW && follow(pose, found, next(pose, null, looked));
            case FOLLOWED:
                following = found >= BELIEF_IN_KNOWN;
                return following && follow(pose, found, next(pose, before, box));
            case SEARCH:
                return found > belief && follow(pose, found, next(pose, before, box));
            default:
                closer = inPicture(boxOf(around(pose)));
                return false;
        }
    }

    /** Whether somebody was found when last looked at. */
    public boolean isFollowing() {
        return following;
    }

    /** Where the person is thought to be, image pixels; null where nobody is known. */
    public Box box() {
        return box;
    }

    /** Forgets the person and looks into a box next: a detector's. */
    public void start(Box box) {
        forget();
        closer = box;
    }

    /** Forgets the person and the time: for another camera, or after a pause. */
    public void reset() {
        forget();
        closer = null;
        look = Look.WHOLE;
        now = Double.NEGATIVE_INFINITY;
    }

    private void forget() {
        looked = null;
        box = null;
        before = null;
        following = false;
    }

    private boolean follow(Pose pose, double found, Box next) {
        if (inPicture(next) == null) {
            forget();
            return false;
        }
        if (look == Look.CLOSER) {
            nextSearch = now + SEARCH_INTERVAL;
        }
        box = next;
        before = pose.copy();
        belief = found;
        seen = now;
        following = true;
        return true;
    }

    private Box inPicture(Box box) {
        boolean touches = box != null
                && box.x < imageWidth
                && box.y < imageHeight
                && box.x + box.width > 0
                && box.y + box.height > 0;
        return touches ? box : null;
    }

    /**
     * Where to look for a person in the next frame: around the joints; but an edge goes inwards slowly, from the last
     * box as it moved with the joints, lest a joint that is missed once be left out of every crop that follows.
     *
     * @param pose this frame's, image pixels
     * @param before that of the frame before, or null
     * @param box where this pose was looked for
     * @return {@code box} where fewer than two joints are found; null where the new one is beyond {@link
     *     Box#MAX_COORDINATE}
     */
    public static Box next(Pose pose, Pose before, Box box) {
        double[] edges = around(pose);
        if (edges == null) {
            return box;
        }
        double movedX = 0;
        double movedY = 0;
        int common = 0;
        for (int joint = 0; before != null && joint < pose.size(); joint++) {
            if (pose.isFound(joint) && before.isFound(joint)) {
                movedX += pose.x(joint) - before.x(joint);
                movedY += pose.y(joint) - before.y(joint);
                common++;
            }
        }
        movedX /= Math.max(common, 1);
        movedY /= Math.max(common, 1);
        double inwards = FASTEST_SHRINKING * box.longerSide();
        edges[0] = Math.min(edges[0], box.x + movedX + inwards);
        edges[1] = Math.min(edges[1], box.y + movedY + inwards);
        edges[2] = Math.max(edges[2], box.x + box.width + movedX - inwards);
        edges[3] = Math.max(edges[3], box.y + box.height + movedY - inwards);
        return boxOf(edges);
    }

    private static Box larger(Box box) {
        double width = LARGER * box.width;
        double height = LARGER * box.height;
        double x = box.x + (box.width - width) / 2;
        double y = box.y + (box.height - height) / 2;
        Box larger = boxOf(new double[] {x, y, x + width, y + height});
        return larger == null ? box : larger;
    }

    /** Left, top, right, bottom around the joints that are found, at least a pixel apart; null under two joints. */
    private static double[] around(Pose pose) {
        if (pose.found() < 2) {
            return null;
        }
        double left = Double.POSITIVE_INFINITY;
        double top = Double.POSITIVE_INFINITY;
        double right = Double.NEGATIVE_INFINITY;
        double bottom = Double.NEGATIVE_INFINITY;
        for (int joint = 0; joint < pose.size(); joint++) {
            if (pose.isFound(joint)) {
                left = Math.min(left, pose.x(joint));
                right = Math.max(right, pose.x(joint));
                top = Math.min(top, pose.y(joint));
                bottom = Math.max(bottom, pose.y(joint));
            }
        }
        double added = MARGIN * Math.max(right - left, bottom - top);
        double halfWidth = Math.max(right - left + 2 * added, 1) / 2;
        double halfHeight = Math.max(bottom - top + 2 * added, 1) / 2;
        double x = (left + right) / 2;
        double y = (top + bottom) / 2;
        return new double[] {x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight};
    }

    /** The box with these edges; null where there are none, or none that a box may have. */
    private static Box boxOf(double[] edges) {
        if (edges == null) {
            return null;
        }
        double width = edges[2] - edges[0];
        double height = edges[3] - edges[1];
        double largest = Math.max(Math.max(Math.abs(edges[0]), Math.abs(edges[1])), Math.max(width, height));
        return largest <= Box.MAX_COORDINATE ? new Box(edges[0], edges[1], width, height) : null;
    }

    private static double belief(Pose pose) {
        double total = 0;
        for (int joint = 0; joint < pose.size(); joint++) {
            total += pose.score(joint);
        }
        return total / pose.size();
    }
}
