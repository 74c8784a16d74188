// Builds the images for a real Kubernetes like `npm run image`, unpacks them like a container runtime, and runs them.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Container, Pod } from "../../src/api/kubernetes/index.ts";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";
import { everyPod } from "../support/every-pod.ts";
import { ImageStore, type StoredImage } from "../support/image-store.ts";
import { root } from "../support/lab-cluster.ts";
import { startContainers, whyNotByRunc } from "../support/start-containers.ts";

const version = "1.31.7";
/** The values EM_X86_64 and EM_AARCH64 in an ELF header. */
const machines: Readonly<Record<string, number>> = { amd64: 62, arm64: 183 };
/** What each image prints first without a cluster. It shows that the image has everything that it must load. */
const firstWords: Readonly<Record<string, RegExp>> = {
  pilot: /cannot read the kubeconfig/,
  "install-cni": /NODE_NAME is not set/,
  ztunnel: /running with config/,
  proxyv2: new RegExp(`version: ${version}`),
  operator: /cannot read the kubeconfig/,
  serin: new RegExp(version),
};
/** Arguments that a manifest or a person adds to the image's entry point. */
const extraArguments: Readonly<Record<string, readonly string[]>> = { operator: ["--kind=istio"], serin: ["version"] };
/**
 * The maximum size in MiB of what a node pulls: for a component, for a sample, and for all images of an architecture
 * together.
 */
const sizeBounds = { component: 59, sample: 54, all: 60 } as const;
const hub = "ghcr.io/serin-mesh";

const firstWordsWithinMs = 60_000;

/**
 * Returns a program's output when the program has printed the expected text, has ended, or has taken too long. Then
 * kills it from outside its namespace, because the first process of a PID namespace ignores signals from within that it
 * does not handle.
 */
async function outputUntil(
  expected: RegExp,
  { program, args, environment }: { program: string; args: readonly string[]; environment: NodeJS.ProcessEnv },
): Promise<string> {
  const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const timer = setTimeout(() => child.kill("SIGKILL"), firstWordsWithinMs);
  const take = (bytes: Buffer): void => {
    output += bytes.toString();
    if (expected.test(output)) child.kill("SIGKILL");
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  await once(child, "close");
  clearTimeout(timer);
  return output;
}

const referenceOf = (name: string): string => `${hub}/${name}:${version}`;

const skip = whyNotByRunc() ?? false;

describe("the image", () => {
  const scratch = mkdtempSync(join(tmpdir(), "serin-image-test-"));
  const layout = join(scratch, "layout");
  let store: ImageStore;
  const imageOf = (name: string, architecture: string): StoredImage =>
    store.images.get(referenceOf(name))?.get(architecture) ?? assert.fail(`no image ${name} of ${architecture}`);

  before(() => {
    const built = spawnSync(process.execPath, ["scripts/build-image.ts", "--output", layout, "--version", version], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(built.status, 0, built.stderr + built.stdout);
    store = ImageStore.open(layout, scratch);
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  test("exists for every component, for amd64 and arm64, under the name in the manifests", () => {
    for (const name of Object.keys(firstWords))
      assert.deepEqual([...(store.images.get(referenceOf(name))?.keys() ?? [])], ["amd64", "arm64"], name);
  });

  test("exists for every image of ours in a manifest, and tells a kubelet its user", () => {
    const foreign = /^docker\.io\/(curlimages|istio\/(pilot|proxyv2):1\.[67])/;
    for (const { name, pod } of everyPod({ hub, version })) {
      for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
        const { repository, tag } = parseImageReference(container.image ?? "");
        const reference = `${repository}:${tag}`;
        if (foreign.test(reference) || name.includes("chart istio-operator")) continue;
        const image = store.images.get(reference)?.get("amd64");
        assert.ok(image !== undefined, `${name}: no image is called ${reference}`);
        const context = { ...pod.spec?.securityContext, ...container.securityContext };
        const user = context.runAsUser ?? Number(image.configuration.config.User.split(":")[0]);
        if (context.runAsNonRoot === true) assert.ok(user > 0, `${name}: ${container.name} would be refused as root`);
      }
    }
  });

  test("states its version, licence, source and revision, and has a bill of materials", () => {
    for (const [reference, variants] of store.images) {
      for (const [architecture, { configuration }] of variants) {
        const labels = configuration.config.Labels;
        for (const name of ["title", "version", "licenses", "source"])
          assert.ok(labels[`org.opencontainers.image.${name}`], `${reference}: ${name}`);
        const file = `${reference.replaceAll(/[/:]/g, "_")}.${architecture}.cdx.json`;
        const document = JSON.parse(readFileSync(join(layout, "sbom", file), "utf8")) as {
          readonly components: readonly { readonly name: string; readonly version: string }[];
        };
        const names = new Set(document.components.map(({ name }) => name));
        for (const name of ["libc6", `node-linux-${architecture === "amd64" ? "x64" : architecture}`, "serin", "koffi"])
          assert.ok(names.has(name), `${file}: ${name}`);
      }
    }
  });

  test("shares its layers with the others, within these sizes", () => {
    for (const architecture of ["amd64", "arm64"]) {
      const all = new Map<string, number>();
      for (const [reference, variants] of store.images) {
        const layers = variants.get(architecture)?.manifest.layers ?? [];
        for (const { digest, size } of layers) all.set(digest, size);
        const bound = reference.startsWith(`${hub}/`) && reference.endsWith(version) ? "component" : "sample";
        const limit = /prom|kiali|grafana/.test(reference) ? sizeBounds.component : sizeBounds[bound];
        const mebibytes = layers.reduce((sum, { size }) => sum + size, 0) / 1024 / 1024;
        assert.ok(mebibytes > 20 && mebibytes <= limit, `${reference}: ${mebibytes.toFixed(1)} MiB, at most ${limit}`);
      }
      const total = [...all.values()].reduce((sum, size) => sum + size, 0) / 1024 / 1024;
      assert.ok(total <= sizeBounds.all, `${architecture}: ${total.toFixed(1)} MiB in all, at most ${sizeBounds.all}`);
    }
  });

  test(
    "lets every container of every manifest run its program, under runc and by the manifest's own rights",
    { skip },
    async () => {
      const { started, faults } = await startContainers(everyPod({ hub, version }), store, scratch);
      assert.deepEqual(faults, []);
      assert.ok(started >= 20, `${started} containers`);
    },
  );

  test("is refused like by a kubelet if its user is not permitted or its program is missing", { skip }, async () => {
    const podOf = (container: Omit<Container, "name">): Pod => ({
      metadata: {},
      spec: { containers: [{ name: "one", ...container }] },
    });
    const pods = [
      { name: "a root", pod: podOf({ image: referenceOf("install-cni"), securityContext: { runAsNonRoot: true } }) },
      { name: "no program", pod: podOf({ image: referenceOf("serin"), command: ["no-such-program"] }) },
      { name: "an end", pod: podOf({ image: referenceOf("serin"), command: ["/bin/sh", "-c", "exit 3"] }) },
      { name: "a rest", pod: podOf({ image: referenceOf("serin"), command: ["cat", "/proc/1/root/root/x"] }) },
    ];
    const { faults } = await startContainers(pods, store, scratch);
    assert.deepEqual(
      faults.map((fault) => fault.split("\n")[0]),
      [
        "a rest: one: cannot start",
        "a root: one: container has runAsNonRoot and image will run as root",
        "an end: one: ended with 3",
        "no program: one: cannot start",
      ],
    );
  });

  for (const architecture of ["amd64", "arm64"]) {
    test(`holds Node, the C library and native code of ${architecture}, and every role runs if this machine can run it`, async () => {
      const directory = store.unpack(imageOf("serin", architecture));
      const npm = architecture === "amd64" ? "x64" : architecture;
      for (const file of [`opt/serin/node_modules/node-linux-${npm}/bin/node`, "bin/busybox"])
        assert.equal(readFileSync(join(directory, file)).readUInt16LE(18), machines[architecture], file);
      assert.ok(existsSync(join(directory, "opt/serin/dist/chunks")), "the program is a bundle");
      if (npm !== process.arch) return;
      for (const [name, expected] of Object.entries(firstWords)) {
        const entry = imageOf(name, architecture).configuration.config;
        const command = [...entry.Entrypoint, ...(extraArguments[name] ?? entry.Cmd ?? [])];
        // The program runs in namespaces of its own, without any environment variable of this machine.
        const output = await outputUntil(expected, {
          program: "unshare",
          args: ["-Urmpf", "--kill-child=KILL", "--net", `--root=${directory}`, "--mount-proc", ...command],
          environment: Object.fromEntries(
            entry.Env.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
          ),
        });
        assert.match(output, expected, name);
      }
    });
  }
});
