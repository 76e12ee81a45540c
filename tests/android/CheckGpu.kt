// Runs the sample's check of the GPU on models that compute the same, or not.
import io.github.flpn.pose.PoseSpec
import io.github.flpn.sample.PoseModel
import io.github.flpn.sample.checked
import java.io.File
import java.nio.ByteBuffer

class Accelerated(private val model: PoseModel, private val computes: (FloatArray) -> FloatArray) : PoseModel by model {
    var closed = 0

    override fun heatmaps(input: ByteBuffer) = computes(model.heatmaps(input))

    override fun close() {
        closed++
    }
}

fun main(arguments: Array<String>) {
    val spec = PoseSpec.parse(File(arguments[0]).readText(), arguments[0])
    val computations: Map<String, (FloatArray) -> FloatArray> =
        mapOf(
            "the same" to { it },
            "1 % less" to { maps -> FloatArray(maps.size) { 0.99f * maps[it] } },
            "one joint 10 % less" to { maps -> FloatArray(maps.size) { (if (it % 3 == 1) 0.9f else 1f) * maps[it] } },
            "zeros" to { FloatArray(it.size) },
            "NaN" to { maps -> maps.also { it[7] = Float.NaN } },
            "another size" to { FloatArray(3) },
            "nothing" to { error("lost device") },
        )
    for ((name, computes) in computations) {
        val cpu = Accelerated(SeesColours(spec, "CPU")) { it }
        val gpu = Accelerated(SeesColours(spec, "GPU"), computes)
        val chosen = checked(gpu, cpu, "differs")
        val open = gpu.closed to cpu.closed
        chosen.close()
        println("$name: ${chosen.runsOn}, closed $open then ${gpu.closed to cpu.closed}")
    }
}
