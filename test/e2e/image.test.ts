// The images for a real Kubernetes, built as `npm run image` does, unpacked as a container runtime does, and run.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
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
  readonly config: { readonly Entrypoint: readonly string[]; readonly Env: readonly string[] };
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
      images.set(entry.annotations?.["org.opencontainers.image.ref.name"] ?? "", new Map(variants));
    }
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  /** The file system of one architecture; all images share it. */
  const unpack = (architecture: string): string => {
    const target = join(scratch, architecture);
    mkdirSync(target);
    const variant = images.get("serin")?.get(architecture);
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

  test("is there for every component, for amd64 and arm64", () => {
    for (const name of Object.keys(firstWords))
      assert.deepEqual([...(images.get(name)?.keys() ?? [])], ["amd64", "arm64"], name);
    assert.deepEqual([...images.keys()].sort(), Object.keys(firstWords).sort());
  });

  for (const architecture of ["amd64", "arm64"]) {
    test(`holds Node, the C library and native code of ${architecture}, and every role runs where this machine can run it`, () => {
      const directory = unpack(architecture);
      const npm = architecture === "amd64" ? "x64" : architecture;
      for (const file of [`opt/serin/node_modules/node-linux-${npm}/bin/node`, "bin/busybox"])
        assert.equal(readFileSync(join(directory, file)).readUInt16LE(18), machines[architecture], file);
      if (npm !== process.arch) return;
      for (const [name, expected] of Object.entries(firstWords)) {
        const entry = images.get(name)?.get(architecture)?.configuration.config;
        assert.ok(entry !== undefined);
        const command = [...entry.Entrypoint, ...(extraArguments[name] ?? [])];
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
