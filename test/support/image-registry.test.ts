import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OciLayout } from "../../scripts/image/oci-layout.ts";
import { ImageRegistry } from "./image-registry.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-registry-"));
const address = "127.0.0.31";
const port = 5001;
let registry: ImageRegistry;

function writeLayout(name: string, images: readonly string[]): string {
  const root = join(directory, `${name}-root`);
  mkdirSync(root);
  writeFileSync(join(root, "said"), name);
  const layout = new OciLayout(join(directory, name));
  layout.open();
  const layer = layout.addLayer(root);
  for (const image of images)
    layout.addImage(image, { entrypoint: [], environment: {}, labels: { name } }, [
      { platform: { os: "linux", architecture: "amd64" }, layers: [layer] },
    ]);
  layout.close();
  return join(directory, name);
}

before(async () => {
  const layouts = [
    writeLayout("own", ["registry.example.com/mesh/pilot:1", "quay.io/someone/app:1"]),
    writeLayout("later", ["registry.example.com/mesh/pilot:2", "docker.io/library/tool:latest"]),
  ];
  registry = new ImageRegistry({ layouts, hub: "registry.example.com/mesh" });
  await registry.listen(port, address);
});

after(() => {
  registry.close();
  rmSync(directory, { recursive: true });
});

const get = async (path: string): Promise<Response> => await fetch(`http://${address}:${port}${path}`);

test("a node finds an image, and all parts of it, by the registry that it uses", async () => {
  const answer = await get("/v2/someone/app/manifests/1?ns=quay.io");
  assert.equal(answer.headers.get("content-type"), "application/vnd.oci.image.index.v1+json");
  assert.equal(answer.headers.get("docker-content-digest"), registry.find("quay.io/someone/app:1")?.digest);
  const { manifests } = (await answer.json()) as { manifests: [{ digest: string }] };
  const manifest = await get(`/v2/someone/app/manifests/${manifests[0].digest}?ns=quay.io`);
  assert.equal(manifest.headers.get("content-type"), "application/vnd.oci.image.manifest.v1+json");
  const { config, layers } = (await manifest.json()) as { config: { digest: string }; layers: [{ digest: string }] };
  for (const { digest } of [config, layers[0]]) {
    const blob = await get(`/v2/someone/app/blobs/${digest}?ns=quay.io`);
    assert.equal(Number(blob.headers.get("content-length")), (await blob.arrayBuffer()).byteLength);
  }
  assert.ok(registry.find("tool") !== undefined, "a name without a registry is Docker's");
});

test("images of another hub map to our hub's of the same version, and unknown ones get a 404", async () => {
  assert.equal(
    registry.find("docker.io/somebody/pilot:2")?.digest,
    registry.find("registry.example.com/mesh/pilot:2")?.digest,
  );
  assert.notEqual(registry.find("docker.io/somebody/pilot:2")?.digest, registry.find("somebody/pilot:1")?.digest);
  assert.equal((await get("/v2/somebody/pilot/manifests/3?ns=docker.io")).status, 404);
  assert.equal((await get("/v2/someone/app/manifests/1?ns=docker.io")).status, 404);
});

test("a registry with an account answers only whoever has it", async () => {
  const guarded = new ImageRegistry({
    layouts: [join(directory, "own")],
    hub: "registry.example.com/mesh",
    account: { username: "puller", password: "p:w" },
  });
  await guarded.listen(port + 1, address);
  const asks = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`http://${address}:${port + 1}/v2/someone/app/manifests/1?ns=quay.io`, { headers })).status;
  try {
    assert.equal(await asks({}), 401);
    assert.equal(await asks({ authorization: `Basic ${btoa("puller:other")}` }), 401);
    assert.equal(await asks({ authorization: `Basic ${btoa("puller:p:w")}` }), 200);
  } finally {
    guarded.close();
  }
});
