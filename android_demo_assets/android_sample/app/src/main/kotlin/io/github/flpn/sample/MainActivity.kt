package io.github.flpn.sample

import android.Manifest
import android.content.Intent
import android.content.pm.PackageManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Bundle
import android.provider.Settings
import android.util.Size
import android.view.View
import android.widget.Button
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.resolutionselector.AspectRatioStrategy
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import java.util.concurrent.Executors

/** The camera's picture with the skeleton of one person on it. */
class MainActivity : ComponentActivity() {
    /** Loads, runs and closes the model. */
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var preview: PreviewView
    private lateinit var skeleton: SkeletonView
    private lateinit var status: TextView
    private lateinit var refusal: View
    private var model: PoseModel? = null
    private var front = false
    private var shown: Preview? = null
    private var analysed: ImageAnalysis? = null

    /** Turning a phone upside down makes no new activity, as turning it by 90° does. */
    private val displayListener =
        object : DisplayManager.DisplayListener {
            override fun onDisplayChanged(displayId: Int) {
                val rotation = preview.display?.rotation ?: return
                shown?.targetRotation = rotation
                analysed?.targetRotation = rotation
            }

            override fun onDisplayAdded(displayId: Int) = Unit

            override fun onDisplayRemoved(displayId: Int) = Unit
        }

    private val askForCamera =
        registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
            if (granted) startCamera() else refusal.visibility = View.VISIBLE
        }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        preview = findViewById(R.id.preview)
        skeleton = findViewById(R.id.skeleton)
        status = findViewById(R.id.status)
        refusal = findViewById(R.id.refusal)
        front = savedInstanceState?.getBoolean(FRONT) ?: false
        findViewById<Button>(R.id.switch_camera).setOnClickListener {
            front = !front
            if (cameraIsAllowed()) startCamera()
        }
        findViewById<Button>(R.id.settings).setOnClickListener {
            val page = Uri.fromParts("package", packageName, null)
            startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, page))
        }
        worker.execute {
            try {
                model = openModel(applicationContext, BuildConfig.MODEL)
            } catch (error: Exception) {
                runOnUiThread { status.text = getString(R.string.no_model, error.message) }
            }
        }
        if (!cameraIsAllowed()) askForCamera.launch(Manifest.permission.CAMERA)
    }

    /** Here and not in `onCreate`: one may come back from the settings. */
    override fun onStart() {
        super.onStart()
        getSystemService(DisplayManager::class.java).registerDisplayListener(displayListener, null)
        if (cameraIsAllowed()) startCamera()
    }

    override fun onStop() {
        getSystemService(DisplayManager::class.java).unregisterDisplayListener(displayListener)
        super.onStop()
    }

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        outState.putBoolean(FRONT, front)
    }

    override fun onDestroy() {
        // Ends the camera; then the model, behind the frame that may be under way.
        super.onDestroy()
        worker.execute { model?.close() }
        worker.shutdown()
    }

    private fun cameraIsAllowed() =
        ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun startCamera() {
        refusal.visibility = View.GONE
        val provider = ProcessCameraProvider.getInstance(this)
        // Behind the loading of the model, and back on the main thread, where CameraX wants to be called.
        provider.addListener(
            {
                if (isDestroyed) return@addListener
                worker.execute {
                    val loaded = model ?: return@execute
                    val analyzer = FrameAnalyzer(PoseLoop(loaded), show(loaded, front))
                    runOnUiThread { bind(provider.get(), analyzer) }
                }
            },
            ContextCompat.getMainExecutor(this),
        )
    }

    private fun bind(provider: ProcessCameraProvider, analyzer: FrameAnalyzer) {
        if (isDestroyed) return
        val camera = if (front) CameraSelector.DEFAULT_FRONT_CAMERA else CameraSelector.DEFAULT_BACK_CAMERA
        try {
            if (!provider.hasCamera(camera)) {
                status.setText(R.string.no_camera)
                return
            }
            // The same shape of both, else the skeleton would not lie on the person.
            val shape =
                ResolutionSelector.Builder()
                    .setAspectRatioStrategy(AspectRatioStrategy.RATIO_4_3_FALLBACK_AUTO_STRATEGY)
            val previewed = Preview.Builder().setResolutionSelector(shape.build()).build()
            previewed.setSurfaceProvider(preview.surfaceProvider)
            val size =
                ResolutionStrategy(Size(640, 480), ResolutionStrategy.FALLBACK_RULE_CLOSEST_HIGHER_THEN_LOWER)
            val frames =
                ImageAnalysis.Builder()
                    .setResolutionSelector(shape.setResolutionStrategy(size).build())
                    .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
                    .setOutputImageRotationEnabled(true)
                    .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
                    .build()
            frames.setAnalyzer(worker, analyzer)
            provider.unbindAll()
            provider.bindToLifecycle(this, camera, previewed, frames)
            shown = previewed
            analysed = frames
        } catch (error: Exception) {
            status.text = getString(R.string.camera_failed, error.message)
        }
    }

    /** A front camera's preview is mirrored, its frames are not. */
    private fun show(model: PoseModel, mirrored: Boolean): (Frame) -> Unit = { frame ->
        runOnUiThread {
            skeleton.show(frame.pose, frame.height, frame.width, mirrored)
            status.text = getString(R.string.status, frame.fps, frame.modelMillis, model.runsOn)
        }
    }

    private companion object {
        const val FRONT = "front"
    }
}
