"""The Android sample, as far as it can be checked without an Android SDK."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import library_cases
import pytest
from java_library import SOURCES, compiled_library

from flpn_tf.presets import assets_folder
from flpn_tf.skeleton import COCO_17

SAMPLE = SOURCES.parents[1] / "android_sample"
MAIN = SAMPLE / "app" / "src" / "main"
GUIDE = SAMPLE.parent / "README.md"
KOTLIN = sorted((MAIN / "kotlin").rglob("*.kt"))
XML = sorted(MAIN.rglob("*.xml"))
API = Path(__file__).parent / "android_api.txt"
ANDROID = "{http://schemas.android.com/apk/res/android}"
PACKAGE = "io.github.flpn.sample"


def resources() -> dict[str, set[str]]:
    """Kind → names, as Android makes its class `R` of them."""
    found = {"layout": {path.stem for path in (MAIN / "res" / "layout").iterdir()}, "id": set()}
    for path in XML:
        root = ElementTree.parse(path).getroot()
        ids = [view.get(f"{ANDROID}id") for view in root.iter() if view.get(f"{ANDROID}id")]
        found["id"] |= {name.removeprefix("@+id/") for name in ids}
        if root.tag == "resources":
            for entry in root:
                found.setdefault(entry.tag, set()).add(entry.get("name"))
    return found


@pytest.mark.parametrize("path", XML, ids=lambda path: path.name)
def test_xml_is_well_formed_and_refers_to_what_there_is(path):
    known = resources()
    for element in ElementTree.parse(path).getroot().iter():
        for value in element.attrib.values():
            if reference := re.fullmatch(r"@(string|style|layout)/(\w+)", value):
                assert reference[2] in known[reference[1]], value
        if "." in element.tag and PACKAGE in element.tag:
            assert any(f"class {element.tag.split('.')[-1]}(" in file.read_text() for file in KOTLIN)


def test_the_manifest_asks_for_the_camera_and_names_the_activity():
    manifest = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    (permission,) = manifest.iter("uses-permission")
    assert permission.get(f"{ANDROID}name") == "android.permission.CAMERA"
    (activity,) = manifest.iter("activity")
    assert (
        MAIN / "kotlin" / Path(*PACKAGE.split(".")) / f"{activity.get(f'{ANDROID}name')[1:]}.kt"
    ).is_file()


def test_code_uses_only_resources_that_there_are():
    known, used = resources(), set()
    for path in KOTLIN:
        used |= set(re.findall(r"\bR\.(\w+)\.(\w+)", path.read_text()))
    assert len(used) > 8
    assert not [f"{kind}.{name}" for kind, name in used if name not in known[kind]]


def test_the_build_finds_the_models_and_the_library():
    build = (SAMPLE / "app" / "build.gradle.kts").read_text()
    shipped = SAMPLE.parent
    assert shipped.resolve() == assets_folder().resolve()
    (library,) = re.findall(r'java\.srcDir\(shipped\.resolve\("([^"]+)"\)\)', build)
    assert (shipped / library / "io/github/flpn/pose/PoseSpec.java").is_file()
    (model,) = re.findall(r'val modelName = "([^"]+)"', build)
    patterns = re.search(r"from\(shipped\) \{ include\(([^)]*)\)", build)[1]
    patterns = patterns.replace("$modelName", model).replace("${modelName}", model)
    copied = {path.name for pattern in re.findall('"([^"]+)"', patterns) for path in shipped.glob(pattern)}
    assert copied == {f"{model}.tflite", f"{model}_pose_spec.json"}
    assert r'buildConfigField("String", "MODEL", "\"$modelName\"")' in build


def test_one_version_of_gradle():
    wrapper = (SAMPLE / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()
    (version,) = re.findall(r"/gradle-([\d.]+)-bin\.zip", wrapper)
    named = re.findall(r"(?:Gradle |--gradle-version )(\d[\d.]*\d)", (SAMPLE / "README.md").read_text())
    assert len(named) >= 2
    assert set(named) == {version}


def public_members(classes: Path) -> dict[str, set[str]]:
    """Class of the library → its public names, as javap prints them."""
    files = sorted(map(str, (classes / "io/github/flpn/pose").glob("*.class")))
    printed = subprocess.run(["javap", "-public", *files], capture_output=True, text=True, check=True).stdout
    members = {}
    for block in re.findall(r"public [^{]*\b(?:class|interface) ([\w.]+)[^{]*\{([^}]*)\}", printed):
        members[block[0].split(".")[-1]] = set(re.findall(r"(\w+)(?=[;(])", block[1]))
    return members


def test_every_call_of_the_library_exists(tmp_path):
    """By name: each member called on a value of a library type, and each class imported.

    `sample` looks at types too, where there is a compiler.
    """
    members = public_members(compiled_library(tmp_path))
    calls = 0
    for path in KOTLIN:
        text = path.read_text()
        for imported in re.findall(r"import io\.github\.flpn\.pose\.(\w+)", text):
            assert imported in members, imported
        text = re.sub(r"(?m)^(import|package) .*$", "", text)
        for imported in members:
            for called in re.findall(rf"\b{imported}\.(\w+)", text):
                assert called in members[imported], f"{imported}.{called}"
                calls += 1
        types = dict(re.findall(r"\b(\w+)\s*(?::|=)\s*(\w+)\b[(?,)\s]", text))
        for name, kind in types.items():
            if kind in members:
                for called in re.findall(rf"\b{name}\??\.(\w+)", text):
                    assert called in members[kind] or called in ("also", "let"), f"{name}: {kind}.{called}"
                    calls += 1
    assert calls > 20


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample compiled with the real library; Android's, CameraX's and LiteRT's classes are those of
    `android_api.txt`. The classpath to run it."""
    kotlinc = os.environ.get("KOTLINC") or shutil.which("kotlinc")
    if not kotlinc:
        pytest.skip("no kotlinc: npm install kotlin-compiler, then KOTLINC=…/kotlin-compiler/bin/kotlinc")
    folder = tmp_path_factory.mktemp("sample")
    library, classes, jar = compiled_library(folder / "library"), folder / "api", folder / "sample.jar"
    files = declared_interfaces(folder / "sources") + [resource_class(folder / "sources")]
    subprocess.run(
        ["javac", "--release", "11", "-d", str(classes), *map(str, files)], check=True, timeout=300
    )
    guide = [folder / "Loop.kt", folder / "Camera.kt"]
    snippets = re.findall(r"```kotlin\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for path, text in zip(guide, snippets, strict=True):
        path.write_text(f"package guide\n{text}")
    kotlin = [*KOTLIN, *guide, *sorted(Path(__file__).parent.glob("*.kt"))]
    result = subprocess.run(
        ["bash", kotlinc, "-Werror", "-jvm-target", "11", "-include-runtime", "-d", str(jar)]
        + ["-classpath", f"{library}{os.pathsep}{classes}", *map(str, kotlin)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return os.pathsep.join(map(str, (jar, library, classes)))


def run(sample: str, program: str, folder: Path) -> str:
    """What a program of this folder prints, given a spec of three joints."""
    spec = library_cases.spec(library_cases.SIZES[0], skeleton=COCO_17.subset([0, 1, 2]))
    (folder / "spec.json").write_text(spec.to_json())
    command = ["java", "-cp", sample, program, str(folder / "spec.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_it_compiles_and_follows_a_person_through_frames(sample, tmp_path):
    assert run(sample, "FollowPersonKt", tmp_path) == "followed\n"


@pytest.mark.slow
def test_a_gpu_that_computes_something_else_is_not_used(sample, tmp_path):
    gpu = "GPU, closed (0, 1) then (1, 1)"
    cpu = "CPU · differs, closed (1, 0) then (1, 1)"
    assert run(sample, "CheckGpuKt", tmp_path).splitlines() == [
        f"the same: {gpu}",
        f"1 % less: {gpu}",
        f"one joint 10 % less: {cpu}",
        f"zeros: {cpu}",
        f"NaN: {cpu}",
        f"another size: {cpu}",
        f"nothing: {cpu}",
    ]


def declared_interfaces(folder: Path) -> list[Path]:
    files = []
    for section in API.read_text().split("\n== ")[1:]:
        name, body = section.split("\n", 1)
        package, _, simple = name.rpartition(".")
        path = folder / f"{name}.d" / f"{simple}.java"
        path.parent.mkdir(parents=True)
        path.write_text(f"package {package};\n{body}")
        files.append(path)
    return files


def resource_class(folder: Path) -> Path:
    path = folder / "R.java"
    inner = "".join(
        f"public static final class {kind} {{ "
        + "".join(f"public static final int {name} = 1; " for name in sorted(names))
        + "}\n"
        for kind, names in resources().items()
    )
    path.write_text(f"package {PACKAGE};\npublic final class R {{\n{inner}}}\n")
    return path
