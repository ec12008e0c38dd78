"""The files of a deployment are well formed, and say what the program does."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import kubernetes_validate
import pytest
from prometheus_client import generate_latest

from tests.deployment.files import OVERLAYS, ROOT, built, compose, image, program, stages
from tests.unit.docs.test_readme import faults_of
from tidegate.observability.gauges import Gauges
from tidegate.settings import load
from tidegate.settings.reading import fields, name_of

CHECKS = {
    "yaml": ["yamllint", "--strict", "compose.yaml", "deploy", ".github", ".yamllint.yaml"],
    "image": ["hadolint", "--failure-threshold", "info", "Dockerfile"],
    "compose": ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    "workflows": [
        *("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        *(str(path) for path in sorted((ROOT / ".github/workflows").glob("*.yaml"))),
    ],
    "workflows-harden": ["zizmor", "--offline", "--no-progress", ".github/workflows"],
}
# Oldest and newest that the objects are held to.
KUBERNETES = ("1.30.0", "1.37.0")
SETTINGS = {name_of(field) for _, _, field in fields()}
# What a process needs after the grace: a cancelled turn, and its lease, in two tries of five
# seconds each; the same for claims; and the committer.
CLOSING_S = 15


@pytest.mark.parametrize("name", CHECKS)
def test_a_linter_or_a_schema_finds_nothing(name: str) -> None:
    """By programs that others wrote for these formats."""
    checker, *arguments = CHECKS[name]
    done = subprocess.run(
        [program(checker), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_what_kustomize_makes(overlay: str, version: str) -> None:
    """Every object, strictly: no field that its schema does not know."""
    for thing in built(overlay):
        kubernetes_validate.validate(thing, version, strict=True)


def _named(overlay: str, kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        one for one in built(overlay) if one["kind"] == kind and one["metadata"]["name"] == name
    ]
    return found


def _pods(overlay: str) -> dict[str, dict[str, Any]]:
    """The pod templates by the name of their Deployment or Job."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in built(overlay)
        if one["kind"] in {"Deployment", "Job"}
    }


def _configured(overlay: str) -> dict[str, str]:
    (found,) = [one for one in built(overlay) if one["kind"] == "ConfigMap"]
    data: dict[str, str] = found["data"]
    return data


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_process_may_more_than_it_needs(overlay: str) -> None:
    """Not root, nothing to write to but its own places, no rights, no token of the cluster."""
    pods = _pods(overlay)
    assert set(pods) == {"tidegate-api", "tidegate-worker", "tidegate-migrate"}
    user, group = (int(part) for part in _one("USER").split(":"))
    for pod in pods.values():
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert (context["runAsUser"], context["runAsGroup"]) == (user, group)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {each["name"] for each in container["volumeMounts"]} == {"tmp", "data"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_named_and_not_written(overlay: str) -> None:
    """No Secret among the objects, and no secret among the settings of the ConfigMap."""
    assert not [one for one in built(overlay) if one["kind"] == "Secret"]
    configured = _configured(overlay)
    assert configured.keys() <= SETTINGS
    assert not [name for name in configured if re.search("KEY|SECRET|TOKEN|URL", name)]
    for pod in _pods(overlay).values():
        (container,) = pod["containers"]
        named = [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each]
        assert named == ["tidegate"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_the_time_that_the_program_takes_to_stop(overlay: str) -> None:
    """Killed earlier, it would leave leases that others wait for; and the balancer hears of the
    stop before the listener closes."""
    configured = _configured(overlay)
    delay, grace = float(configured["SHUTDOWN_DELAY"]), float(configured["SHUTDOWN_GRACE"])
    pods = _pods(overlay)
    api = pods["tidegate-api"]["terminationGracePeriodSeconds"]
    assert api >= delay + grace + CLOSING_S
    assert pods["tidegate-worker"]["terminationGracePeriodSeconds"] >= grace + CLOSING_S
    ready = pods["tidegate-api"]["containers"][0]["readinessProbe"]
    assert ready["httpGet"]["path"] == "/ready"
    assert ready["periodSeconds"] * ready["failureThreshold"] < delay


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rollout_takes_nothing_away_first(overlay: str) -> None:
    """Never fewer than there were, for either process; a drained machine leaves one at least."""
    for name in ("tidegate-api", "tidegate-worker"):
        strategy = _named(overlay, "Deployment", name)["spec"]["strategy"]
        assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert _named(overlay, "PodDisruptionBudget", name)["spec"]["minAvailable"] >= 1
    replicas = _named(overlay, "Deployment", "tidegate-api")["spec"]["replicas"]
    budget = _named(overlay, "PodDisruptionBudget", "tidegate-api")["spec"]["minAvailable"]
    assert budget < replicas, "no machine could ever be drained"
    assert "replicas" not in _named(overlay, "Deployment", "tidegate-worker")["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_are_scaled_by_a_metric_that_exists(overlay: str) -> None:
    """The age of the oldest due row, under the name that the program gives it."""
    (metric,) = _named(overlay, "HorizontalPodAutoscaler", "tidegate-worker")["spec"]["metrics"]
    gauges = Gauges()
    gauges.oldest_due_age.labels("accept").set(1)
    name = metric["external"]["metric"]["name"]
    assert f"{name}{{kind=" in generate_latest(gauges.registry).decode()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_their_pods_only(overlay: str) -> None:
    """A Service, a budget or a policy that selects too little or too much is silently wrong."""
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in built(overlay)
        if one["kind"] in {"Deployment", "Job"}
    }

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, own in labels.items() if selector.items() <= own.items()}

    for one in built(overlay):
        name, kind = one["metadata"]["name"], one["kind"]
        if kind == "Service":
            assert found(one["spec"]["selector"]) == {name}
        elif kind in {"PodDisruptionBudget", "Deployment"}:
            assert found(one["spec"]["selector"]["matchLabels"]) == {name}
        elif kind == "NetworkPolicy":
            wanted = {name} if name != "tidegate" else set(labels)
            assert found(one["spec"]["podSelector"]["matchLabels"]) == wanted


def _one(name: str) -> str:
    """The text of the last instruction of this name in the final stage."""
    return [step.text for step in stages()[-1] if step.name == name][-1]


def test_the_image_runs_as_a_number_and_hears_its_signal() -> None:
    """Exec form throughout, so that process 1 is the program and no shell between."""
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", _one("USER"))
    assert _one("STOPSIGNAL") == "SIGTERM"
    final = {step.name: step for step in stages()[-1]}
    assert final["ENTRYPOINT"].words == ["tidegate"]
    assert final["CMD"].words == ["serve"]
    assert final["HEALTHCHECK"].words[1:] == ["-m", "tidegate.probe"]
    assert [step for step in image() if step.name == "RUN" and step.words] != []
    (base,) = [step.text for step in image() if step.name == "ARG" and "BASE=" in step.text]
    assert re.search(r":\d+\.\d+-slim-\w+$", base), "a base without a version"


def test_what_built_the_package_is_taken_out_again() -> None:
    """All of what only the build backend needs, and nothing that anything else does."""
    text = (ROOT / "requirements/runtime.txt").read_text()
    needs: dict[str, set[str]] = {}
    for block in re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]:
        reasons = re.findall(r"^ +# +(?:via )?([\w.-]+.*)$", block, re.MULTILINE)
        needs[block.partition("==")[0]] = {reason for reason in reasons if reason != "via"}
    build = {"hatchling"}
    while grown := {name for name, by in needs.items() if by and by <= build} - build:
        build |= grown
    (taken,) = [step.words for step in stages()[0] if "uninstall" in step.text]
    assert set(taken[taken.index("--yes") + 1 :]) == build


def test_only_what_is_built_from_reaches_the_builder() -> None:
    """No secret, no book, no history: what is sent is listed, and each COPY finds its file."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        path for step in stages()[0] if step.name == "COPY" for path in step.text.split()[:-1]
    }
    assert copied == sent
    assert [path for path in sent if not (ROOT / path).exists()] == []


def test_the_sandbox_of_compose_is_configured() -> None:
    """What compose gives its processes is accepted at their start; the secrets agree."""
    services = compose()["services"]
    environment = services["sandbox-api"]["environment"]
    assert environment.keys() <= SETTINGS
    load({key: str(value) for key, value in environment.items()}, env_file=None)
    bank = services["sandbox-bank"]["command"]
    assert f"--token={environment['LENCO_API_KEY']}" in bank
    assert f"--account-id={environment['LENCO_ACCOUNT_ID']}" in bank
    aggregator = services["sandbox-aggregator"]
    assert f"--client-id={environment['AGGREGATOR_CLIENT_ID']}" in aggregator["command"]
    secret = aggregator["environment"]["AGGREGATOR_SECRET_KEY"]
    assert secret == environment["AGGREGATOR_SECRET_KEY"]


def test_compose_migrates_first_and_gives_time_to_stop() -> None:
    """Nothing serves or works before the migration has ended well; all of ours are confined."""
    settings = load({"DEBUG": "true"}, env_file=None).server
    for name, service in compose()["services"].items():
        if "postgres" in name:
            continue
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        stop_s = float(service["stop_grace_period"].removesuffix("s"))
        assert stop_s >= settings.shutdown_delay + settings.shutdown_grace + CLOSING_S
        if service.get("command", [""])[0] in {"serve", "worker"}:
            migrate = "sandbox-migrate" if name.startswith("sandbox") else "migrate"
            done = {"condition": "service_completed_successfully"}
            assert service["depends_on"][migrate] == done


def test_a_release_is_told_as_the_changelog_tells_it() -> None:
    """A tag that the package or the changelog does not know is refused."""
    asked = [str(ROOT / ".ci/release-notes"), "v9.9.9"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "not the package's version" in done.stderr


def test_every_process_is_started_with_a_command_that_exists() -> None:
    """Commands and options of compose and of the pods, as the program has them."""
    commands = [
        service["command"]
        for service in compose()["services"].values()
        if "command" in service and "entrypoint" not in service
    ]
    commands += [pod["containers"][0]["args"] for pod in _pods("production").values()]
    assert len(commands) >= 10
    assert {" ".join(each): faults_of(each) for each in commands if faults_of(each)} == {}
