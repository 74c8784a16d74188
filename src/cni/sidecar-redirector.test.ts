import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../api/kubernetes/index.ts";
import { sidecarRedirect } from "./sidecar-redirector.ts";

function injected(init: string, args: string[]): Pod {
  return {
    metadata: { name: "web", annotations: { "sidecar.istio.io/status": "{}" } },
    spec: {
      initContainers: [{ name: init, args, env: [{ name: "ISTIO_META_DNS_CAPTURE", value: "true" }] }],
      containers: [{ name: "app" }],
    },
  };
}

test("the agent redirects pods whose init container only validates, with that container's flags", () => {
  const args = [
    "istio-iptables",
    "-p",
    "15001",
    "-b",
    "*",
    "-d",
    "15090",
    "-i",
    "10.0.0.0/8",
    "--run-validation",
    "--skip-rule-apply",
  ];
  const options = sidecarRedirect(injected("istio-validation", args));
  assert.deepEqual(
    [options?.outboundRanges, options?.excludedInboundPorts, options?.dnsServers],
    [["10.0.0.0/8"], [15_090], "*"],
  );
  assert.deepEqual(
    ["TPROXY", "NONE"].map((mode) => sidecarRedirect(injected("istio-validation", [...args, "-m", mode]))?.mode),
    ["TPROXY", "NONE"],
  );
  assert.equal(sidecarRedirect(injected("istio-init", args)), undefined);
  assert.equal(sidecarRedirect({ ...injected("istio-validation", args), status: { phase: "Succeeded" } }), undefined);
  assert.equal(sidecarRedirect({ metadata: { name: "plain" }, spec: { containers: [{ name: "app" }] } }), undefined);
});
