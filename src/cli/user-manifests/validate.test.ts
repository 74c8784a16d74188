import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { describeError } from "../../base/index.ts";
import { CommandEnd } from "../command-end.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

async function validate(
  words: readonly string[],
  files: Readonly<Record<string, string>>,
): Promise<{ readonly out: string; readonly err: string; readonly exitCode: number }> {
  const directory = mkdtempSync(join(tmpdir(), "validate-"));
  const context = Object.assign(new FakeContext({ files }), {
    readFile: async (path: string) => (path === "-" ? (files["-"] ?? "") : await readFile(path, "utf8")),
  });
  let exitCode = 0;
  try {
    mkdirSync(join(directory, "below"));
    for (const [name, text] of Object.entries(files)) if (name !== "-") writeFileSync(join(directory, name), text);
    await createProgram(context).parseAsync(["validate", ...words.map((word) => word.replaceAll("DIR", directory))], {
      from: "user",
    });
  } catch (error) {
    if (!(error instanceof CommandEnd)) throw error;
    exitCode = error.exitCode;
  } finally {
    rmSync(directory, { recursive: true });
  }
  return {
    out: context.output.replaceAll(directory, "DIR"),
    err: context.errors.replaceAll(directory, "DIR"),
    exitCode,
  };
}

const good =
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination: {host: reviews}\n";

test("valid files are reported as valid, including those in subdirectories", async () => {
  const found = await validate(["-f", "DIR"], {
    "a.yaml": good,
    "below/b.json": JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } }),
    "notes.md": "no",
  });
  assert.deepEqual(found, {
    out: '"DIR/a.yaml" is valid\n"DIR/below/b.json" is valid\n',
    err: "Skipping file DIR/notes.md, recognized file extensions are: [.json .yaml .yml]\n",
    exitCode: 0,
  });
  assert.equal((await validate(["-f", "-"], { "-": good })).out, "validation succeed\n");
});

test("yes and on are booleans, as kubectl and istioctl read them, and no texts", async () => {
  const rule =
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: a.b.c\n  trafficPolicy: {connectionPool: {http: {useClientProtocol: yes}}}\n";
  assert.equal((await validate(["-f", "-"], { "-": rule })).out, "validation succeed\n");
  const labelled = good.replace("name: reviews", "name: reviews\n  labels: {team: on}");
  assert.match(
    (await validate(["-f", "-"], { "-": labelled })).err,
    /metadata\.labels\.team must be a string, got true/,
  );
  const named = good.replace("name: reviews", "name: off");
  assert.match(
    (await validate(["-f", "-"], { "-": named })).err,
    /metadata\.name must be a string, got false: put quotes/,
  );
});

test("a named file is validated whatever its name is, and an empty one is reported", async () => {
  const found = await validate(["-f", "DIR/a.tmpl", "-f", "-"], { "a.tmpl": good.replace("hosts", "hots"), "-": "" });
  assert.match(
    found.err,
    /^! standard input contains no objects\nError: DIR\/a\.tmpl:6:3: .*hots is not a known field/,
  );
  assert.equal(found.exitCode, 1);
});

test("every error has its file, line and column, for YAML and for fields", async () => {
  const found = await validate(["-f", "DIR/a.yaml,DIR/b.yaml"], {
    "a.yaml": good.replace("hosts: [reviews]", "hots: [reviews]").replace("v1\n", "v2\n"),
    "b.yaml": "apiVersion: v1\nkind: Service\n metadata:\n   name: x\n",
  });
  assert.equal(found.exitCode, 1);
  assert.equal(found.out, "");
  assert.equal(
    found.err,
    `Error: DIR/a.yaml:1:1: VirtualService reviews: apiVersion must be networking.istio.io/v1 or networking.istio.io/v1beta1 or networking.istio.io/v1alpha3 for a VirtualService, got "networking.istio.io/v2"
Error: DIR/a.yaml:6:3: VirtualService reviews: spec.hots is not a known field; did you mean hosts?
Error: DIR/b.yaml:2:7: Nested mappings are not allowed in compact mappings
Error: 3 errors in 2 of 2 files
`,
  );
});

test("an unknown kind of Istio's groups, and a kind in another group, are reported", async () => {
  const found = await validate(["-f", "DIR"], {
    "a.yaml": good.replace("VirtualService", "VirtualServices"),
    "b.yaml": good.replace("networking.istio.io", "network.istio.io"),
    "c.yaml": `${good}specs: {}\n`,
  });
  assert.deepEqual(found.err.split("\n").slice(0, 3), [
    'Error: DIR/a.yaml:2:1: VirtualServices reviews: kind is not a kind of networking.istio.io, got "VirtualServices"; did you mean VirtualService?',
    'Error: DIR/b.yaml:1:1: VirtualService reviews: apiVersion must be of group networking.istio.io for a VirtualService, got "network.istio.io"',
    "Error: DIR/c.yaml:10:1: VirtualService reviews: specs is not a top-level field of an object; did you mean spec?",
  ]);
});

test("unusual settings cause warnings, and validation succeeds", async () => {
  const found = await validate(["DIR/a.yaml"], {
    "a.yaml": `apiVersion: v1\nkind: Service\nmetadata:\n  name: x\nspec:\n  ports:\n  - port: 80\n  - port: 81\n    name: web\n---\n${good}  - route:\n    - destination: {host: other}\n`,
  });
  assert.deepEqual(found, {
    out: '"DIR/a.yaml" is valid, with 3 warnings\n',
    err: `Warning: DIR/a.yaml:7:5: Service x: spec.ports[0] has no name, so proxies detect its protocol; name it <protocol>-<name>
Warning: DIR/a.yaml:8:5: Service x: spec.ports[1] is named "web", which contains no protocol, so proxies detect it; name it <protocol>-<name>, such as http-web
Warning: DIR/a.yaml:20:5: VirtualService reviews: spec.http[1] is never used: http[0] has no match and gets all requests
`,
    exitCode: 0,
  });
});

test("an IstioOperator is validated as install reads it", async () => {
  const found = await validate(["-f", "DIR/a.yaml"], {
    "a.yaml": "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata:\n  name: x\nspec:\n  profile: 3\n",
  });
  assert.match(found.err, /^Error: DIR\/a\.yaml:6:3: IstioOperator x: spec\.profile must be a string, got 3\n/);
});

test("without files the error explains which files to name", async () => {
  await assert.rejects(validate([], {}), (error) => {
    assert.equal(
      describeError(error),
      "there is nothing to validate: name files by --filename\n  hint: serin validate -f FILE, -f DIRECTORY, or -f - for standard input",
    );
    return true;
  });
});

test("the kinds of rollouts are checked as admission checks them", async () => {
  const canary = `apiVersion: rollout.serin.dev/v1alpha1
kind: Canary
metadata: {name: c}
spec:
  target: {deployment: {name: web, service: web}}
  steps: [{weigth: 3}]
`;
  const { err, exitCode } = await validate(["-f", "DIR/canary.yaml"], { "canary.yaml": canary });
  assert.equal(exitCode, 1);
  assert.match(
    err,
    /canary\.yaml:6:\d+: Canary c: spec\.steps\[0\]\.weigth is not a known field; did you mean weight\?/,
  );
  const upgrade = "apiVersion: rollout.serin.dev/v1alpha1\nkind: MeshUpgrad\nmetadata: {name: u}\n";
  assert.match(
    (await validate(["-f", "DIR/u.yaml"], { "u.yaml": upgrade })).err,
    /kind is not a kind of rollout\.serin\.dev, got "MeshUpgrad"; did you mean MeshUpgrade\?/,
  );
});

test("a Service with a port of a wrong type is reported at its place", async () => {
  const service =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n  - null\n  - {name: 3, port: 80}\n";
  const { err, exitCode } = await validate(["-f", "DIR/service.yaml"], { "service.yaml": service });
  assert.equal(exitCode, 1);
  assert.match(err, /service\.yaml:7:5: Service web: spec\.ports\[1\]\.name must be a string, got 3/);
});

test("a directory without manifests is reported, because its path may be wrong", async () => {
  const { err, exitCode } = await validate(["-f", "DIR/below"], {});
  assert.deepEqual([err, exitCode], ["! DIR/below contains no files whose names end in .json, .yaml, .yml\n", 0]);
});
