// Runs the sample's PoseLoop on drawn frames, with a model that sees red, green and blue as its three joints.
import io.github.flpn.pose.HeatmapDecoder
import io.github.flpn.pose.Pose
import io.github.flpn.pose.PoseSpec
import io.github.flpn.sample.PoseLoop
import io.github.flpn.sample.PoseModel
import java.io.File
import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.exp

const val HEIGHT = 400
const val WIDTH = 300

class SeesColours(override val spec: PoseSpec, override val runsOn: String = "a test") : PoseModel {
    var runs = 0

    override fun run(input: ByteBuffer, decoder: HeatmapDecoder, into: Pose) {
        runs++
        decoder.decode(heatmaps(input), into)
    }

    override fun heatmaps(input: ByteBuffer): FloatArray {
        val maps = FloatArray(spec.outputSize())
        for (row in 0 until spec.outputHeight) for (column in 0 until spec.outputWidth) for (joint in 0..2) {
            val pixel = (row * spec.stride * spec.inputWidth + column * spec.stride) * 3 + joint
            maps[(row * spec.outputWidth + column) * 3 + joint] = (input.get(pixel).toInt() and 255) / 255f
        }
        return maps
    }

    override fun close() = Unit
}

/** Three blobs, or nothing. */
fun frame(joints: List<Pair<Double, Double>>?): IntArray =
    IntArray(HEIGHT * WIDTH) { at ->
        var colour = 0
        joints?.forEachIndexed { joint, (x, y) ->
            val (dx, dy) = (at % WIDTH - x) to (at / WIDTH - y)
            val level = (255 * exp(-(dx * dx + dy * dy) / 200)).toInt()
            colour = colour or (level shl (16 - 8 * joint))
        }
        colour
    }

fun main(arguments: Array<String>) {
    val model = SeesColours(PoseSpec.parse(File(arguments[0]).readText(), arguments[0]))
    val loop = PoseLoop(model)
    var seconds = 100.0
    for (step in 0 until 60) {
        val gone = step in 20..24
        // A second time base in the middle: the other camera's.
        seconds = if (step == 40) 1.0 else seconds + 1 / 30.0
        val joints = listOf(80.0 to 90.0, 160.0 to 110.0, 110.0 to 260.0).map { (x, y) -> x + step to y + step / 2.0 }
        val before = model.runs
        val pose = loop.next(frame(joints.takeUnless { gone }), HEIGHT, WIDTH, seconds)
        // The first frame of somebody new only says where to look closer.
        val nobody = gone || step in listOf(0, 25, 40)
        check((pose == null) == nobody) { "step $step: $pose" }
        check(model.runs - before == 1) { "step $step: ${model.runs - before} runs of the model" }
        pose?.let {
            joints.forEachIndexed { joint, (x, y) ->
                // Smoothing may be four frames behind at this speed, a slow one.
                check(abs(it.x(joint) - x) < 4 && abs(it.y(joint) - y) < 2) { "step $step: $it, expected $joints" }
            }
        }
    }
    println("followed")
}
