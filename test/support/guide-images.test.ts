import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { OciLayout } from "../../scripts/image/oci-layout.ts";
import { ImageLayout } from "../../src/cli/image/image-layout.ts";
import { writeGuideImages } from "../kubernetes/guide-images.ts";
import { ImageRegistry } from "./image-registry.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-guide-images-"));
after(() => rmSync(directory, { recursive: true }));

function writeRelease(): string {
  const tree = join(directory, "tree");
  mkdirSync(tree);
  writeFileSync(join(tree, "program"), "the release's");
  const layout = new OciLayout(join(directory, "release"));
  layout.open();
  const layer = layout.addLayer(tree);
  layout.addImage("registry.example.com/mesh/pilot:1", { entrypoint: [], environment: {}, labels: {} }, [
    { platform: { os: "linux", architecture: "amd64" }, layers: [layer] },
  ]);
  layout.close();
  return join(directory, "release");
}

test("another version is the release's image with its own package.json, and an operator is the release's own image", async () => {
  const hub = "registry.example.com/mesh";
  const release = { images: writeRelease(), hub, version: "1", serin: "" };
  const guide = await writeGuideImages(join(directory, "guide"), release, {
    versions: ["1.7.7"],
    addons: ["banzaicloud/istio-operator:0.7.12"],
  });
  const registry = new ImageRegistry({ layouts: [guide, release.images], hub });
  await registry.load();
  const images = await new ImageLayout(guide).images();
  const layersOf = (name: string): string[] => {
    const found = images.find(({ reference }) => reference === name);
    assert.ok(found !== undefined, name);
    assert.equal(registry.find(name)?.digest, found.index.digest);
    return (found.variants[0]?.layers ?? []).map(({ digest }) => digest);
  };
  const [base = "", version = "", ...more] = layersOf(`${hub}/proxyv2:1.7.7`);
  assert.deepEqual(more, []);
  assert.deepEqual(layersOf("docker.io/banzaicloud/istio-operator:0.7.12"), [base]);
  const blob = join(guide, "blobs", version.replace(":", "/"));
  const text = execFileSync("tar", ["--extract", "--gzip", "--to-stdout", "--file", blob, "./opt/serin/package.json"]);
  assert.equal((JSON.parse(text.toString("utf8")) as { version: string }).version, "1.7.7");
  assert.ok(registry.hasBlob(base) && registry.hasBlob(version), "layers of both layouts are served");
});
