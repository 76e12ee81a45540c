package io.github.flpn.sample

import io.github.flpn.pose.Box
import io.github.flpn.pose.CropTransform
import io.github.flpn.pose.Cropper
import io.github.flpn.pose.HeatmapDecoder
import io.github.flpn.pose.PersonTracker
import io.github.flpn.pose.Pose
import io.github.flpn.pose.PoseSmoother

/** Follows one person from frame to frame. Used by one thread; nothing in here is Android's. */
class PoseLoop(private val model: PoseModel) {
    private val spec = model.spec
    private val cropper = Cropper(spec)
    private val input = cropper.newInput()
    private val decoder = HeatmapDecoder(spec)
    private val tracker = PersonTracker()
    private val smoother = PoseSmoother(spec.skeleton)
    private val pose = Pose(spec.skeleton)
    private var shown: Pose? = null
    private var lastSeconds = Double.NEGATIVE_INFINITY

    /** How long the model took for the last frame, nanoseconds. */
    var modelNanos = 0L
        private set

    /**
     * The pose in the next frame, image pixels, or null where nobody is found. In the frame of a search, about one a
     * second, it may be that of the frame before.
     *
     * @param argb the upright picture, `argb[y * width + x]`
     * @param seconds when it was taken
     */
    fun next(argb: IntArray, height: Int, width: Int, seconds: Double): Pose? {
        // Another camera may count from another start.
        if (seconds <= lastSeconds) reset()
        lastSeconds = seconds
        estimate(tracker.look(height, width, seconds), argb, height, width)
        if (tracker.update(pose)) {
            shown = pose.copy().also { smoother.smooth(it, tracker.box(), seconds) }
        } else if (!tracker.isFollowing) {
            shown = null
            smoother.reset()
        }
        return shown
    }

    /** Forgets the person. */
    fun reset() {
        tracker.reset()
        smoother.reset()
        shown = null
        lastSeconds = Double.NEGATIVE_INFINITY
    }

    private fun estimate(looked: Box, argb: IntArray, height: Int, width: Int) {
        val transform = CropTransform(spec, looked)
        cropper.crop(transform, argb, height, width, input)
        val start = System.nanoTime()
        model.run(input, decoder, pose)
        modelNanos = System.nanoTime() - start
        transform.toImage(pose)
    }
}
