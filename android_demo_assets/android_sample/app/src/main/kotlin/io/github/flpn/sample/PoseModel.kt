package io.github.flpn.sample

import android.content.Context
import android.util.Log
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import io.github.flpn.pose.HeatmapDecoder
import io.github.flpn.pose.Pose
import io.github.flpn.pose.PoseSpec
import io.github.flpn.pose.TensorType
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

/** A loaded model. Used and closed by the thread that runs it. */
interface PoseModel : AutoCloseable {
    val spec: PoseSpec

    /** What it runs on, for the screen. */
    val runsOn: String

    /** Crop to pose, crop pixels. [input] is as `Cropper.newInput` makes it. */
    fun run(input: ByteBuffer, decoder: HeatmapDecoder, into: Pose)

    /** Crop to heatmaps, a copy. Of a model of float32 output only. */
    fun heatmaps(input: ByteBuffer): FloatArray
}

/**
 * Loads `NAME.tflite` and `NAME_pose_spec.json` from the assets: on the GPU where it computes what the CPU does
 * ([checked]), else on the CPU, else by `Interpreter`.
 *
 * An int8 model is for the CPU: a GPU would compute it in float.
 */
fun openModel(context: Context, name: String): PoseModel {
    val specFile = "${name}_pose_spec.json"
    val spec = PoseSpec.parse(context.assets.open(specFile).bufferedReader().use { it.readText() }, specFile)
    val file = "$name.tflite"
    val cpu = compiled(context, file, spec, Accelerator.CPU) ?: Interpreted(context, file, spec)
    if (spec.outputType != TensorType.FLOAT32) return cpu
    val gpu = compiled(context, file, spec, Accelerator.GPU) ?: return cpu
    return checked(gpu, cpu, context.getString(R.string.gpu_differs))
}

private fun compiled(context: Context, file: String, spec: PoseSpec, accelerator: Accelerator): PoseModel? =
    try {
        val model = CompiledModel.create(context.assets, file, CompiledModel.Options(accelerator), null)
        Compiled(model, spec, accelerator.name)
    } catch (error: Exception) {
        Log.w(LOG_TAG, "$file does not compile for $accelerator", error)
        null
    } catch (error: LinkageError) {
        Log.w(LOG_TAG, "no CompiledModel on this device", error)
        null
    }

private class Compiled(private val model: CompiledModel, override val spec: PoseSpec, override val runsOn: String) :
    PoseModel {
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val bytes = ByteArray(if (spec.inputType == TensorType.UINT8) spec.inputSize() else 0)
    private val floats = FloatArray(if (spec.inputType == TensorType.FLOAT32) spec.inputSize() else 0)

    override fun run(input: ByteBuffer, decoder: HeatmapDecoder, into: Pose) {
        invoke(input)
        if (spec.outputType == TensorType.FLOAT32) {
            decoder.decode(outputs[0].readFloat(), into)
        } else {
            decoder.decode(outputs[0].readInt8(), into)
        }
    }

    override fun heatmaps(input: ByteBuffer): FloatArray {
        invoke(input)
        return outputs[0].readFloat()
    }

    private fun invoke(input: ByteBuffer) {
        input.rewind()
        if (spec.inputType == TensorType.UINT8) {
            input.get(bytes)
            // There is no writeUInt8; the bytes are the same.
            inputs[0].writeInt8(bytes)
        } else {
            input.asFloatBuffer().get(floats)
            inputs[0].writeFloat(floats)
        }
        model.run(inputs, outputs)
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }
}

private class Interpreted(context: Context, file: String, override val spec: PoseSpec) : PoseModel {
    override val runsOn = "Interpreter"
    private val interpreter = Interpreter(mapped(context, file), Interpreter.Options().setNumThreads(THREADS))
    private val output: ByteBuffer = HeatmapDecoder(spec).newOutput()

    override fun run(input: ByteBuffer, decoder: HeatmapDecoder, into: Pose) {
        invoke(input)
        decoder.decode(output, into)
    }

    override fun heatmaps(input: ByteBuffer): FloatArray {
        invoke(input)
        output.rewind()
        return FloatArray(spec.outputSize()).also { output.asFloatBuffer().get(it) }
    }

    private fun invoke(input: ByteBuffer) {
        input.rewind()
        output.rewind()
        interpreter.run(input, output)
    }

    override fun close() = interpreter.close()

    private companion object {
        const val THREADS = 4

        fun mapped(context: Context, file: String): ByteBuffer =
            context.assets.openFd(file).use { asset ->
                FileInputStream(asset.fileDescriptor).channel.use {
                    it.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
                }
            }
    }
}
