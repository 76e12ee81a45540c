package io.github.flpn.sample

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import io.github.flpn.pose.Pose

/** What was found in one frame. */
class Frame(val pose: Pose?, val height: Int, val width: Int, val fps: Double, val modelMillis: Double)

/**
 * Camera frames to poses.
 *
 * The frames have to be RGBA and upright: `setOutputImageRotationEnabled(true)`. They are not mirrored, whichever the
 * camera.
 */
class FrameAnalyzer(private val loop: PoseLoop, private val show: (Frame) -> Unit) : ImageAnalysis.Analyzer {
    private var argb = IntArray(0)
    private var lastSeconds = Double.NaN
    private var interval = Double.NaN

    override fun analyze(image: ImageProxy) {
        // A frame that is not closed is the last one.
        image.use {
            val seconds = it.imageInfo.timestamp / 1e9
            val bitmap = it.toBitmap()
            val (height, width) = bitmap.height to bitmap.width
            if (argb.size != height * width) argb = IntArray(height * width)
            bitmap.getPixels(argb, 0, width, 0, 0, width, height)
            bitmap.recycle()
            val pose = loop.next(argb, height, width, seconds)
            show(Frame(pose, height, width, fps(seconds), loop.modelNanos / 1e6))
        }
    }

    /** Frames a second, of about the last ten. */
    private fun fps(seconds: Double): Double {
        val elapsed = seconds - lastSeconds
        lastSeconds = seconds
        if (elapsed > 0) interval = if (interval > 0) 0.9 * interval + 0.1 * elapsed else elapsed
        return if (interval > 0) 1 / interval else 0.0
    }
}
