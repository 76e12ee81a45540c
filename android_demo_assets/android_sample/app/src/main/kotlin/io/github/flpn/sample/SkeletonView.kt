package io.github.flpn.sample

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import io.github.flpn.pose.Pose
import io.github.flpn.pose.PreviewTransform

/** Draws a pose over a preview of the same size. */
class SkeletonView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val stroke = 4 * resources.displayMetrics.density
    private val bones = paint(Color.rgb(0, 200, 255))
    private val joints = paint(Color.YELLOW)
    private var pose: Pose? = null
    private var limbs = emptyArray<IntArray>()
    private var imageHeight = 1
    private var imageWidth = 1
    private var mirrored = false

    /** Shows a pose, image pixels, or none. On the main thread; the pose is not to be changed any more. */
    fun show(pose: Pose?, imageHeight: Int, imageWidth: Int, mirrored: Boolean) {
        if (pose != null && pose.skeleton !== this.pose?.skeleton) limbs = pose.skeleton.limbs()
        this.pose = pose
        this.imageHeight = imageHeight
        this.imageWidth = imageWidth
        this.mirrored = mirrored
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val pose = pose ?: return
        val place = PreviewTransform(imageHeight, imageWidth, height, width, mirrored)
        for ((a, b) in limbs) {
            if (pose.isFound(a) && pose.isFound(b)) {
                canvas.drawLine(
                    place.viewX(pose.x(a)),
                    place.viewY(pose.y(a)),
                    place.viewX(pose.x(b)),
                    place.viewY(pose.y(b)),
                    bones,
                )
            }
        }
        for (joint in 0 until pose.size()) {
            if (pose.isFound(joint)) {
                canvas.drawCircle(place.viewX(pose.x(joint)), place.viewY(pose.y(joint)), stroke, joints)
            }
        }
    }

    private fun paint(colour: Int) =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            color = colour
            strokeWidth = stroke
            strokeCap = Paint.Cap.ROUND
        }
}
