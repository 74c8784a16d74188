// The registry for Istio's tests, in a lab without access to the Internet. Istio's redirector leads to it, and it has
// two versions of test/wasm/header-injector.wasm under the names that the tests pull.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const root = join(import.meta.dirname, "../../..");
/**
 * The tests of TrafficExtensions use the image's former name: Istio does not compile them, so nobody has changed it.
 */
const repositories = ["/v2/testing/wasm/header-injector", "/v2/istio-testing/wasm/header-injector"];
const port = 1339;
const blockBytes = 512;
const manifestType = "application/vnd.oci.image.manifest.v1+json";

interface Blob {
  readonly type: string;
  readonly bytes: Buffer;
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function archive(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(blockBytes);
  head.write(name, 0);
  head.write("0000644", 100);
  head.write(content.length.toString(8).padStart(11, "0"), 124);
  head.fill(" ", 148, 156);
  head.write("0", 156);
  head.write("ustar\u{0}00", 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([head, content, Buffer.alloc(blockBytes - (content.length % blockBytes)), Buffer.alloc(1024)]);
}

const served = new Map<string, Blob>();
const built = readFileSync(join(root, "test/wasm/header-injector.wasm"));
for (const version of ["0.0.1", "0.0.2"]) {
  const code = Buffer.from(built.toString("latin1").replace("0.0.1", version), "latin1");
  const layer: Blob = {
    type: "application/vnd.oci.image.layer.v1.tar+gzip",
    bytes: gzipSync(archive("plugin.wasm", code)),
  };
  const config: Blob = { type: "application/vnd.oci.image.config.v1+json", bytes: Buffer.from("{}") };
  const describe = ({ type, bytes }: Blob): object => ({
    mediaType: type,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest: Blob = {
    type: manifestType,
    bytes: Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: describe(config),
        layers: [describe(layer)],
      }),
    ),
  };
  for (const repository of repositories) {
    for (const blob of [layer, config]) served.set(`${repository}/blobs/${digestOf(blob.bytes)}`, blob);
    // A test of ambient pulls `latest` by the former name, but tells the redirector only for the other name which
    // version that is.
    const latest = version === "0.0.1" ? ["latest"] : [];
    for (const reference of [version, ...latest, digestOf(manifest.bytes)])
      served.set(`${repository}/manifests/${reference}`, manifest);
  }
}

createServer(({ url = "", method }, response) => {
  const blob = url === "/v2/" ? { type: "application/json", bytes: Buffer.from("{}") } : served.get(url);
  if (blob === undefined) response.writeHead(404).end();
  else {
    response.writeHead(200, {
      "content-type": blob.type,
      "content-length": blob.bytes.length,
      "docker-content-digest": digestOf(blob.bytes),
    });
    response.end(method === "HEAD" ? undefined : blob.bytes);
  }
}).listen(port);

const address = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4");
const redirector = spawn(
  join(root, ".cache/interop/istio-suite/fake-registry"),
  [...process.argv.slice(2), "--registry", `${address?.address ?? "127.0.0.1"}:${String(port)}`, "--scheme", "http"],
  { stdio: "inherit" },
);
redirector.once("exit", (code) => process.exit(code ?? 1));
