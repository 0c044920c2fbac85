"""The manifests of deploy/kubernetes obey their schemas, and pods are closed, bounded and asked for their health."""

from __future__ import annotations

import kubernetes_validate
import pytest

from deployments import DEPLOY, USER, manifests, pods

KUBERNETES = "1.31"


def test_every_manifest_obeys_the_schema_of_its_kind() -> None:
    for _, each in manifests():
        if each["kind"] == "Kustomization":
            assert set(each["resources"]) == {
                path.name
                for path in (DEPLOY / "kubernetes").glob("*.yaml")
                if path.name != "kustomization.yaml"
            }
        elif each["kind"] == "DaskCluster":
            assert set(each["spec"]) == {"scheduler", "worker"}
            assert set(each["spec"]["worker"]) == {"replicas", "spec"}
            service = {"metadata": {"name": "s"}, "spec": each["spec"]["scheduler"]["service"]}
            kubernetes_validate.validate(
                {"apiVersion": "v1", "kind": "Service", **service}, KUBERNETES, strict=True
            )
        else:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
    for _, spec in pods():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_every_pod_is_closed_bounded_and_asked_for_its_health(name: str, pod: dict) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    assert "readinessProbe" in container
    places = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {"/cache", "/tmp"} <= set(places)
    assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    if name != "dgmmis-serve" and "/data" in places:
        assert places["/data"]["readOnly"]
    assert name != "dgmmis-dashboard" or "/certificates" not in places


def test_everything_in_the_cluster_of_pods_may_talk_only_to_what_it_must() -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for _, each in manifests() if each["kind"] == "NetworkPolicy"
    }
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    open_to = [
        source
        for policy in policies.values()
        for rule in policy.get("ingress", []) + policy.get("egress", [])
        for source in rule.get("from", []) + rule.get("to", [{}])
    ]
    assert not any("ipBlock" in source for source in open_to)
    labels = {"app": "dgmmis-serve"}
    assert {"podSelector": {"matchLabels": labels}} in policies["cluster"]["ingress"][0]["from"]
