import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../base/index.ts";
import type { ModuleLocation } from "../filters/lazy-wasm-filter.ts";
import { fileOf } from "./module-archive.ts";
import { moduleOfImage } from "./module-image.ts";
import { ModuleSources } from "./module-sources.ts";

const code = Buffer.from("\0asm and more");
const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const secret = JSON.stringify({ auths: { "registry.test": { username: "me", password: "secret" } } });

function tar(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0);
  head.write(content.length.toString(8).padStart(11, "0"), 124);
  return Buffer.concat([head, content, Buffer.alloc((512 - (content.length % 512)) % 512), Buffer.alloc(1024)]);
}

/** A registry with one image. It asks for a token, which only the user `me` gets. */
class Registry {
  readonly fetched: string[] = [];
  readonly credentials: (string | null)[] = [];
  readonly #manifest: Buffer;
  readonly #layer: Buffer;
  isOpen = false;
  swaps = false;
  realm = "https://tokens.test/t";

  constructor(mediaType: string, layer: Buffer) {
    this.#layer = layer;
    const layers = [{ mediaType, digest: `sha256:${sha(layer)}`, size: layer.length }];
    this.#manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, layers }));
  }

  get digest(): string {
    return sha(this.#manifest);
  }

  readonly fetch = (input: URL | string | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof URL ? input.href : typeof input === "string" ? input : input.url;
    const authorization = new Headers(init?.headers).get("authorization");
    this.fetched.push(url);
    if (url.startsWith("https://tokens.test/")) {
      this.credentials.push(authorization);
      return Promise.resolve(
        authorization === `Basic ${Buffer.from("me:secret").toString("base64")}`
          ? Response.json({ token: "t" })
          : new Response("", { status: 401 }),
      );
    }
    if (!this.isOpen && authorization !== "Bearer t")
      return Promise.resolve(
        new Response("", {
          status: 401,
          headers: { "www-authenticate": `Bearer realm="${this.realm}",service="registry.test"` },
        }),
      );
    if (url.startsWith("https://registry.test/v2/acme/filter/manifests/"))
      return Promise.resolve(new Response(new Uint8Array(this.#manifest)));
    if (url === `https://registry.test/v2/acme/filter/blobs/sha256:${sha(this.#layer)}`)
      return Promise.resolve(new Response(this.swaps ? "other" : new Uint8Array(this.#layer)));
    return Promise.resolve(new Response("", { status: 404 }));
  };

  async load(url = "oci://registry.test/acme/filter:1", sha256 = "", given = secret): Promise<Buffer> {
    const { signal } = new AbortController();
    const { bytes } = await moduleOfImage({
      url,
      sha256,
      secret: given,
      signal,
      fetch: this.fetch,
      failsAs: () => undefined,
    });
    return Buffer.from(bytes);
  }
}

const archive = (): Registry =>
  new Registry("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar("./plugin.wasm", code)));

test("an image has its module in an archive or as a layer", async () => {
  assert.deepEqual(await archive().load(), code);
  const artifact = new Registry("application/vnd.module.wasm.content.layer.v1+wasm", code);
  assert.deepEqual(await artifact.load(), code);
  const docker = gzipSync(
    Buffer.concat([tar("etc/other", Buffer.alloc(700, 1)).subarray(0, 1536), tar("plugin.wasm", code)]),
  );
  assert.deepEqual(await new Registry("application/vnd.docker.image.rootfs.diff.tar.gzip", docker).load(), code);
});

test("an image is refused if it does not match its checksum and its digest", async () => {
  const registry = archive();
  assert.deepEqual(await registry.load(undefined, registry.digest), code);
  assert.deepEqual(await registry.load(`oci://registry.test/acme/filter@sha256:${registry.digest}`), code);
  await assert.rejects(registry.load(undefined, "0".repeat(64)), /has the SHA-256 .* not 0000/);
  await assert.rejects(
    registry.load(`oci://registry.test/acme/filter@sha256:${"0".repeat(64)}`),
    /returned bytes that do not match/,
  );
  registry.swaps = true;
  await assert.rejects(registry.load(), /returned bytes that do not match/);
});

test("the error names a registry that refuses, or an image without a module", async () => {
  await assert.rejects(archive().load(undefined, "", ""), /returned no token: 401/);
  await assert.rejects(archive().load(undefined, "", "{"), /imagePullSecret has no \.dockerconfigjson/);
  await assert.rejects(archive().load("oci://registry.test/acme/none:1"), /answers 404 .*imagePullSecret/);
  await assert.rejects(archive().load("oci://registry.test"), /is not an image: expected oci:/);
  const other = new Registry("application/vnd.oci.image.layer.v1.tar+gzip", gzipSync(tar("other", code)));
  await assert.rejects(other.load(), /has no file plugin\.wasm/);
  await assert.rejects(new Registry("text/plain", code).load(), /has no layer with a module: text\/plain/);
});

test("a pull secret without credentials for the registry sends none, and a token server without a URL is refused", async () => {
  const registry = archive();
  for (const entry of [null, "x", {}, { username: "me" }, { username: 1, password: 2 }]) {
    const given = JSON.stringify({ auths: { "registry.test": entry } });
    await assert.rejects(registry.load(undefined, "", given), /returned no token: 401/);
  }
  assert.deepEqual(new Set(registry.credentials), new Set([null]));
  registry.realm = "http://[";
  await assert.rejects(registry.load(), /names a token server whose address is no URL/);
});

test("a registry cannot send the proxy to its own machine, to credentials of the machine, or into a private network", async () => {
  const registry = new Registry("application/vnd.module.wasm.content.layer.v1+wasm", code);
  const inside = ["localhost:15000", "127.0.0.1:15000", "[::1]", "2130706433", "169.254.169.254", "[fd00:ec2::254]"];
  for (const host of [...inside, "10.0.0.1", "[::ffff:192.168.0.1]", "metadata.google.internal"]) {
    registry.realm = `https://${host}/t`;
    await assert.rejects(registry.load(), /names a token server inside the network/, host);
  }
  registry.realm = "file:///etc/passwd";
  await assert.rejects(registry.load(), /names a token server inside the network/);
  assert.ok(registry.fetched.every((url) => url.startsWith("https://registry.test/")));
  const near = "oci://10.0.0.5:5000/acme/filter:1";
  for (const [realm, expected] of [
    ["http://10.0.0.6/t", /returned no token: 401/],
    ["http://10.0.0.5:5001/t", /returned no token: 401/],
    ["http://127.0.0.1/t", /inside the network/],
  ] as const) {
    registry.realm = realm;
    await assert.rejects(registry.load(near), expected, realm);
  }
});

test("a repeated fetch follows the pull policy, and a secret gives access to no other image", async () => {
  const registry = archive();
  const sources = new ModuleSources({
    clock: systemClock,
    fetch: registry.fetch,
    readFile: () => Promise.reject(new Error("no file")),
    fetched: () => undefined,
  });
  const load = async (more: Partial<ModuleLocation & { readonly kind: "remote" }>): Promise<number> => {
    const before = registry.fetched.length;
    const place = { kind: "remote", url: "oci://registry.test/acme/filter:1", sha256: "", timeoutMs: 5000 } as const;
    await sources.load({ ...place, version: "1", pull: "default", secret, ...more });
    return registry.fetched.length - before;
  };
  assert.equal(await load({}), 4, "the challenge, the token, the manifest and the layer");
  assert.equal(await load({ version: "2" }), 0);
  assert.ok((await load({ version: "2", pull: "always" })) > 0);
  assert.equal(await load({ version: "2", pull: "always" }), 0);
  const latest = { url: "oci://registry.test/acme/filter:latest" };
  assert.ok((await load(latest)) > 0);
  assert.ok((await load({ ...latest, version: "2" })) > 0);
  assert.equal(await load({ ...latest, version: "3", pull: "if-not-present" }), 0);
  assert.equal(await load({ ...latest, version: "4", pull: "if-not-present" }), 0);
  await assert.rejects(load({ secret: "" }), /returned no token/);
});

test("a module over HTTP may be a compressed archive, and is fetched again only with the policy Always", async () => {
  let fetchCount = 0;
  const sources = new ModuleSources({
    clock: systemClock,
    fetch: () => {
      fetchCount += 1;
      const archived = tar("plugin.wasm", code);
      archived.write("ustar", 257);
      return Promise.resolve(new Response(new Uint8Array(gzipSync(archived))));
    },
    readFile: () => Promise.reject(new Error("no file")),
    fetched: () => undefined,
  });
  const load = async (version: string, pull: "default" | "always" | "if-not-present"): Promise<Uint8Array> => {
    const place = {
      kind: "remote",
      url: "http://modules.test/layer",
      sha256: "",
      timeoutMs: 5000,
      secret: "",
    } as const;
    return (await sources.load({ ...place, version, pull })).bytes;
  };
  assert.deepEqual(Buffer.from(await load("1", "default")), code);
  await load("2", "default");
  await load("3", "if-not-present");
  assert.equal(fetchCount, 1);
  await load("4", "always");
  await load("4", "always");
  assert.equal(fetchCount, 2);
});

test("an archive whose file has a size that is no octal number has no files, and does not keep the proxy busy", () => {
  for (const size of ["-0000001000", "-1", "9", "0x200", "\x80\0\0\0\0\0\0\0\0\0\x10\0"]) {
    const archived = tar("other", code);
    archived.fill(0, 124, 136);
    archived.write(size, 124, "latin1");
    const looks: string[] = [];
    const found = fileOf(Buffer.concat([archived, tar("plugin.wasm", code)]), (path) => {
      // A reader that goes back after a wrong size would never end.
      assert.ok(looks.push(path) < 100, `${size}: looked at ${path} again and again`);
      return path === "plugin.wasm";
    });
    assert.equal(found, undefined, size);
  }
});
