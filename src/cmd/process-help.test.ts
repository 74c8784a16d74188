import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../base/index.ts";
import { clusterUsage } from "./cluster.ts";
import { doctorUsage } from "./doctor.ts";
import { processHelp, strayArguments } from "./process-help.ts";

test("the help of a process names an existing page, and the process gets all other words", () => {
  for (const name of ["ztunnel", "pilot", "probe", "kiali", "cluster-node"]) {
    const page = /docs\/\S+\.md/.exec(processHelp(name, ["--help"]) ?? "")?.[0] ?? "none";
    assert.ok(existsSync(join(packageRoot(), page)), page);
  }
  assert.equal(processHelp("proxy", ["sidecar"]), undefined);
  assert.equal(processHelp("proxy", ["sidecar", "--help"]), undefined);
  assert.equal(processHelp("version", ["--help"]), undefined);
  assert.equal(processHelp("constructor", ["--help"]), undefined);
});

test("the help of every role that writes its own fits a terminal of 80 columns", () => {
  const helps = [clusterUsage, doctorUsage, ...["ztunnel", "probe"].map((name) => processHelp(name, ["-h"]) ?? "")];
  const lines = helps.flatMap((text) => text.split("\n"));
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
});

test("arguments that neither a process nor its upstream counterpart knows are reported, and those of installations are not", () => {
  const stray = (line: string): string => {
    const [name = "", ...args] = line.split(" ");
    return strayArguments(name, args).join(" ");
  };
  for (const line of [
    "rollout",
    "rollout removal",
    "cni --log_output_level=info",
    "ztunnel proxy ztunnel",
    "proxy proxy sidecar --domain shop.svc.cluster.local --proxyLogLevel=warning --proxyComponentLogLevel=misc:error --log_output_level=default:info --concurrency 2",
    "proxy wait --url http://x",
    "probe client",
    "kiali -config /kiali-configuration/config.yaml",
    "prometheus --config.file=/etc/config/prometheus.yml --storage.tsdb.retention.time=15d --web.enable-lifecycle",
    "prometheus-reloader --watched-dir=/etc/config --listen-address=0.0.0.0:8080 --reload-url=http://x/-/reload",
    "pilot discovery --bogus",
  ])
    assert.equal(stray(line), "", line);
  assert.equal(stray("rollout bogus --workers=2"), "bogus --workers=2");
  assert.equal(stray("proxy proxy sidecar --domian shop"), "--domian");
  assert.equal(stray("ztunnel proxy --threads 2"), "--threads");
  assert.equal(stray("probe server extra"), "extra");
  assert.equal(stray("kiali -confg x"), "-confg");
});
