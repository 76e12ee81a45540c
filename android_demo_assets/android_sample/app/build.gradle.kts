plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

// One of android_demo_assets/*.tflite.
val modelName = "flpn_mobile_people_192x160_float16"

// android_demo_assets/: the models, their specs and the Java library.
val shipped = rootProject.projectDir.parentFile
val copiedModel = layout.buildDirectory.dir("copiedModel")

android {
    namespace = "io.github.flpn.sample"
    compileSdk = 36

    defaultConfig {
        applicationId = "io.github.flpn.sample"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
        buildConfigField("String", "MODEL", "\"$modelName\"")
    }

    buildFeatures { buildConfig = true }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    sourceSets["main"].apply {
        java.srcDir(shipped.resolve("java/src/main/java"))
        assets.srcDir(copiedModel)
    }

    // A model is mapped from the package, which a compressed file cannot be.
    androidResources { noCompress += "tflite" }
}

kotlin {
    compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_11) }
}

val copyModel by tasks.registering(Sync::class) {
    from(shipped) { include("$modelName.tflite", "${modelName}_pose_spec.json") }
    into(copiedModel)
}

tasks.named("preBuild") { dependsOn(copyModel) }

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.1.5")
    implementation("androidx.activity:activity-ktx:1.10.1")
    implementation("androidx.core:core-ktx:1.16.0")
    implementation("androidx.camera:camera-camera2:1.5.3")
    implementation("androidx.camera:camera-lifecycle:1.5.3")
    implementation("androidx.camera:camera-view:1.5.3")
}
