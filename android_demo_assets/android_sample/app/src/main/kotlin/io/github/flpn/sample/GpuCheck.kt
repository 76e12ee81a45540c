package io.github.flpn.sample

import android.util.Log
import io.github.flpn.pose.Cropper
import io.github.flpn.pose.Heatmaps
import io.github.flpn.pose.PoseSpec
import io.github.flpn.pose.TensorType
import java.nio.ByteBuffer

const val LOG_TAG = "flpn"

/** Of the heatmaps' peak. Half precision differs by less than 1 %, a wrong convolution by as much as they are high. */
private const val LARGEST_DIFFERENCE = 0.05

/**
 * The GPU's model where it gives the CPU's heatmaps for a fixed picture, else the CPU's with [differs] added to what it
 * runs on. Closes the other one.
 *
 * A GPU may compute wrongly and say nothing: a browser's did, with this network's grouped convolutions of two channels
 * a group. Two models of one file with float32 output; costs one run of each.
 */
fun checked(gpu: PoseModel, cpu: PoseModel, differs: String): PoseModel {
    val picture = fixedPicture(cpu.spec)
    val expected = cpu.heatmaps(picture)
    val agree =
        try {
            Heatmaps.agree(gpu.heatmaps(picture), expected, LARGEST_DIFFERENCE)
        } catch (error: Exception) {
            Log.w(LOG_TAG, "the GPU does not run the model", error)
            false
        }
    if (agree) {
        cpu.close()
        return gpu
    }
    Log.w(LOG_TAG, "the GPU's heatmaps are not the CPU's; the model stays on the CPU")
    gpu.close()
    return object : PoseModel by cpu {
        override val runsOn = "${cpu.runsOn} · $differs"
    }
}

/** Stripes that look like noise, the same as the web page's: joints' heatmaps are high somewhere in them. */
private fun fixedPicture(spec: PoseSpec): ByteBuffer {
    val input: ByteBuffer = Cropper(spec).newInput()
    for (i in 0 until spec.inputSize()) {
        val level = (i * 7919L % 256).toInt()
        if (spec.inputType == TensorType.FLOAT32) {
            input.putFloat(4 * i, level.toFloat())
        } else {
            input.put(i, level.toByte())
        }
    }
    return input
}
