package io.github.flpn.sample

import io.github.flpn.pose.Box
import io.github.flpn.pose.BoxTracker
import io.github.flpn.pose.CropTransform
import io.github.flpn.pose.Cropper
import io.github.flpn.pose.HeatmapDecoder
import io.github.flpn.pose.Pose
import io.github.flpn.pose.PoseSmoother

/** Follows one person from frame to frame. Used by one thread; nothing in here is Android's. */
class PoseLoop(private val model: PoseModel) {
    private val spec = model.spec
    private val cropper = Cropper(spec)
    private val input = cropper.newInput()
    private val decoder = HeatmapDecoder(spec)
    private val tracker = BoxTracker()
    private val smoother = PoseSmoother(spec.skeleton)
    private val pose = Pose(spec.skeleton)
    private var box: Box? = null
    private var lastSeconds = Double.NEGATIVE_INFINITY

    /** How long the model took for the last frame, nanoseconds. */
    var modelNanos = 0L
        private set

    /**
     * The pose in the next frame, image pixels, or null where nobody is found.
     *
     * @param argb the upright picture, `argb[y * width + x]`
     * @param seconds when it was taken
     */
    fun next(argb: IntArray, height: Int, width: Int, seconds: Double): Pose? {
        // Another camera may count from another start.
        if (seconds <= lastSeconds) reset()
        lastSeconds = seconds
        modelNanos = 0
        val looked = box ?: searched(argb, height, width) ?: return null
        estimate(looked, argb, height, width)
        box = tracker.next(pose, height, width)
        if (box == null) {
            smoother.reset()
            return null
        }
        return pose.copy().also { smoother.smooth(it, looked, seconds) }
    }

    /** Forgets the person. */
    fun reset() {
        box = null
        smoother.reset()
        lastSeconds = Double.NEGATIVE_INFINITY
    }

    /** Where somebody is in the whole frame: good enough to look closer. */
    private fun searched(argb: IntArray, height: Int, width: Int): Box? {
        estimate(Box.ofImage(height, width), argb, height, width)
        return tracker.next(pose, height, width)
    }

    private fun estimate(looked: Box, argb: IntArray, height: Int, width: Int) {
        val transform = CropTransform(spec, looked)
        cropper.crop(transform, argb, height, width, input)
        val start = System.nanoTime()
        model.run(input, decoder, pose)
        modelNanos += System.nanoTime() - start
        transform.toImage(pose)
    }
}
