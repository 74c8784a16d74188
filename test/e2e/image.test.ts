// The images for a real Kubernetes, built as `npm run image` does, unpacked as a container runtime does, and run.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parseImageReference } from "../../src/cluster/images/image-reference.ts";
import { everyPod } from "../support/every-pod.ts";
import { root } from "../support/lab-cluster.ts";

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}
interface Index {
  readonly manifests: readonly Descriptor[];
}
interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}
interface Configuration {
  readonly architecture: string;
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Env: readonly string[];
    readonly User: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

const version = "1.31.7";
/** EM_X86_64 and EM_AARCH64 of the ELF header. */
const machines: Readonly<Record<string, number>> = { amd64: 62, arm64: 183 };
/** What each image says first where there is no cluster: enough to know that all it needs was there to load. */
const firstWords: Readonly<Record<string, RegExp>> = {
  pilot: /cannot read the kubeconfig/,
  "install-cni": /NODE_NAME is not set/,
  ztunnel: /running with config/,
  proxyv2: new RegExp(`version: ${version}`),
  operator: /cannot read the kubeconfig/,
  serin: new RegExp(version),
};
/** What its manifest, or a person, adds to the entry. */
const extraArguments: Readonly<Record<string, readonly string[]>> = { operator: ["--kind=istio"], serin: ["version"] };
/** Of layers that are pulled, in MiB: of one component's image, of a sample's, and of all images of an architecture together. */
const sizeBounds = { component: 60, sample: 57, all: 62 } as const;
const hub = "ghcr.io/serin-mesh";
const nameAnnotations = ["io.containerd.image.name", "org.opencontainers.image.ref.name"] as const;

const referenceOf = (name: string): string => `${hub}/${name}:${version}`;

describe("the image", () => {
  const scratch = mkdtempSync(join(tmpdir(), "serin-image-test-"));
  const layout = join(scratch, "layout");
  const blob = (digest: string): Buffer => {
    const bytes = readFileSync(join(layout, "blobs", digest.replace(":", "/")));
    assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
    return bytes;
  };
  const read = <Value>(digest: string): Value => JSON.parse(blob(digest).toString()) as Value;
  const images = new Map<string, ReadonlyMap<string, { manifest: Manifest; configuration: Configuration }>>();

  before(() => {
    const built = spawnSync(process.execPath, ["scripts/build-image.ts", "--output", layout, "--version", version], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(built.status, 0, built.stderr + built.stdout);
    for (const entry of (JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Index).manifests) {
      const variants = read<Index>(entry.digest).manifests.map(({ digest, platform }) => {
        const manifest = read<Manifest>(digest);
        return [
          platform?.architecture ?? "",
          { manifest, configuration: read<Configuration>(manifest.config.digest) },
        ] as const;
      });
      const [name = "", again] = nameAnnotations.map((annotation) => entry.annotations?.[annotation]);
      assert.equal(name, again, "containerd and skopeo find an image by the same name");
      images.set(name, new Map(variants));
    }
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  /** The file system of one architecture; all images share it. */
  const unpack = (architecture: string): string => {
    const target = join(scratch, architecture);
    mkdirSync(target);
    const variant = images.get(referenceOf("serin"))?.get(architecture);
    assert.ok(variant !== undefined);
    variant.manifest.layers.forEach((layer, index) => {
      const tar = gunzipSync(blob(layer.digest));
      assert.equal(
        `sha256:${createHash("sha256").update(tar).digest("hex")}`,
        variant.configuration.rootfs.diff_ids[index],
      );
      const unpacked = spawnSync("tar", ["--extract", "--directory", target, "--no-same-owner"], { input: tar });
      assert.equal(unpacked.status, 0, unpacked.stderr.toString());
    });
    return target;
  };

  test("is there for every component, for amd64 and arm64, by the name that the manifests ask for", () => {
    for (const name of Object.keys(firstWords))
      assert.deepEqual([...(images.get(referenceOf(name))?.keys() ?? [])], ["amd64", "arm64"], name);
  });

  test("is there for every image of a manifest that is ours, and a kubelet can tell whom it runs as", () => {
    const foreign = /^docker\.io\/(curlimages|istio\/(pilot|proxyv2):1\.[67])/;
    for (const { name, pod } of everyPod({ hub, version })) {
      for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
        const { repository, tag } = parseImageReference(container.image ?? "");
        const reference = `${repository}:${tag}`;
        if (foreign.test(reference) || name.includes("chart istio-operator")) continue;
        const image = images.get(reference)?.get("amd64");
        assert.ok(image !== undefined, `${name}: no image is called ${reference}`);
        const context = { ...pod.spec?.securityContext, ...container.securityContext };
        const user = context.runAsUser ?? Number(image.configuration.config.User.split(":")[0]);
        if (context.runAsNonRoot === true) assert.ok(user > 0, `${name}: ${container.name} would be refused as root`);
      }
    }
  });

  test("says what it is: its version, licence, source and revision, and lists its parts in a document beside it", () => {
    for (const [reference, variants] of images) {
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
      for (const [reference, variants] of images) {
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

  for (const architecture of ["amd64", "arm64"]) {
    test(`holds Node, the C library and native code of ${architecture}, and every role runs where this machine can run it`, () => {
      const directory = unpack(architecture);
      const npm = architecture === "amd64" ? "x64" : architecture;
      for (const file of [`opt/serin/node_modules/node-linux-${npm}/bin/node`, "bin/busybox"])
        assert.equal(readFileSync(join(directory, file)).readUInt16LE(18), machines[architecture], file);
      if (npm !== process.arch) return;
      for (const [name, expected] of Object.entries(firstWords)) {
        const entry = images.get(referenceOf(name))?.get(architecture)?.configuration.config;
        assert.ok(entry !== undefined);
        const command = [...entry.Entrypoint, ...(extraArguments[name] ?? entry.Cmd ?? [])];
        // In namespaces of its own, with nothing of this machine's environment.
        const ran = spawnSync(
          "unshare",
          [
            "-Urmpf",
            "--kill-child=KILL",
            "--net",
            `--root=${directory}`,
            "--mount-proc",
            "/bin/sh",
            "-c",
            `timeout 3 ${command.join(" ")} 2>&1`,
          ],
          {
            encoding: "utf8",
            env: Object.fromEntries(
              entry.Env.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
            ),
          },
        );
        assert.match(ran.stdout + ran.stderr, expected, name);
      }
    });
  }
});
