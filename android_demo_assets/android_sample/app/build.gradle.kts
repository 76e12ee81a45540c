plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// android_demo_assets/: the models, their specs and the Java library.
val shipped = rootProject.projectDir.parentFile
val copiedModels = layout.buildDirectory.dir("copiedModels")

android {
    namespace = "io.github.flpn.sample"
    compileSdk = 36

    defaultConfig {
        applicationId = "io.github.flpn.sample"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    sourceSets["main"].apply {
        java.srcDir(shipped.resolve("java/src/main/java"))
        assets.srcDir(copiedModels)
    }

    // A model is mapped from the package, which a compressed file cannot be.
    androidResources { noCompress += "tflite" }
}

kotlin {
    compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_11) }
}

val copyModels by tasks.registering(Sync::class) {
    from(shipped) { include("*.tflite", "*_pose_spec.json") }
    into(copiedModels)
}

tasks.named("preBuild") { dependsOn(copyModels) }

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.1.5")
    implementation("androidx.activity:activity-ktx:1.10.1")
    implementation("androidx.core:core-ktx:1.16.0")
    implementation("androidx.camera:camera-camera2:1.5.3")
    implementation("androidx.camera:camera-lifecycle:1.5.3")
    implementation("androidx.camera:camera-view:1.5.3")
}
