// `serin image push` into the CNCF's registry, which scripts/fetch/registry.sh builds.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { describeError } from "../../src/base/index.ts";
import { createProgram } from "../../src/cli/index.ts";
import { writeSmallLayout } from "../../src/cli/image/testing/small-layout.ts";
import { FakeContext } from "../../src/cli/testing/fake-context.ts";

const program = join(import.meta.dirname, "../../.cache/interop/registry");
const startTimeoutMs = 30_000;
const account = { username: "mesh", password: "small-secret" };
/** In htpasswd's format, with the bcrypt hash of the password. */
const accounts = `${account.username}:$2y$05$abcdefghijklmnopqrstuueU6Bzt8/vDb30xvGO0uYwi3dziq5Ks2\n`;
const images = ["pilot", "ztunnel"].map((name) => `ghcr.io/serin-mesh/${name}:1.18.1`);

class Registry implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly host: string;

  private constructor(process: ChildProcess, host: string) {
    this.#process = process;
    this.host = host;
  }

  static async start(directory: string, auth?: object): Promise<Registry> {
    const config = {
      version: "0.1",
      log: { level: "info", formatter: "text" },
      storage: { filesystem: { rootdirectory: join(directory, "blobs") } },
      http: { addr: "127.0.0.1:0", secret: "of this test" },
      ...(auth === undefined ? {} : { auth }),
    };
    const path = join(directory, "config.yml");
    writeFileSync(path, JSON.stringify(config));
    const env = { PATH: process.env["PATH"], OTEL_TRACES_EXPORTER: "none" };
    const child = spawn(program, ["serve", path], { stdio: ["ignore", "pipe", "pipe"], env });
    return new Registry(child, await addressOf(child));
  }

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return await fetch(`http://${this.host}${path}`, { headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("close", resolve));
    this.#process.kill("SIGTERM");
    await ended;
  }
}

async function addressOf(child: ChildProcess): Promise<string> {
  let output = "";
  return await new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`the registry ${why}:\n${output}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("does not listen");
    }, startTimeoutMs);
    const read = (chunk: Buffer): void => {
      output += chunk.toString("utf8");
      const [, host] = /listening on (127\.0\.0\.1:\d+)/.exec(output) ?? [];
      if (host === undefined) return;
      clearTimeout(timer);
      resolve(host);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error) => fail(`does not start: ${error.message}`));
    child.once("close", () => {
      clearTimeout(timer);
      fail("has ended");
    });
  });
}

describe("the CNCF's registry", () => {
  const scratch = mkdtempSync(join(tmpdir(), "serin-registry-"));
  const layout = join(scratch, "layout");
  before(() => {
    assert.ok(existsSync(program), `${program} is missing: scripts/fetch/registry.sh builds it`);
    writeSmallLayout(layout, images);
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  const push = async (registry: Registry, ...flags: readonly string[]): Promise<string> => {
    const context = new FakeContext({ files: { "-": `${account.password}\n` } });
    const hub = `${registry.host}/team/mesh`;
    const args = ["image", "push", "--layout", layout, "--hub", hub, "--plain-http", ...flags];
    await createProgram(context).parseAsync(args);
    return context.output;
  };
  const directoryOf = (): string => mkdtempSync(join(scratch, "run-"));

  void test("accepts all images with both architectures, shares layers, and receives nothing twice", async () => {
    await using registry = await Registry.start(directoryOf());
    const output = await push(registry);
    assert.match(output, /pilot:1\.18\.1: .* sent, 0 of 6 blobs were already there\n/);
    assert.match(output, /ztunnel:1\.18\.1: .* sent, 2 of 6 blobs were already there\n/);
    for (const name of ["pilot", "ztunnel"]) {
      const accept = { accept: "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json" };
      const read = async (kind: string, reference: string): Promise<Response> =>
        await registry.get(`/v2/team/mesh/${name}/${kind}/${reference}`, accept);
      const index = (await (await read("manifests", "1.18.1")).json()) as { readonly manifests: readonly Manifest[] };
      assert.deepEqual(
        index.manifests.map(({ platform }) => platform?.architecture),
        ["amd64", "arm64"],
      );
      for (const { digest } of index.manifests) {
        const { config, layers } = (await (await read("manifests", digest)).json()) as ManifestContent;
        for (const blob of [config, ...layers]) {
          const answer = await read("blobs", blob.digest);
          assert.equal((await answer.arrayBuffer()).byteLength, blob.size);
        }
      }
    }
    assert.match(
      await push(registry),
      /pilot:1\.18\.1: the registry already had its content\n.*ztunnel:1\.18\.1: the registry already had its content/,
    );
  });

  void test("answers 401 without an account and to a wrong password, and the error names the remedy", async () => {
    const directory = directoryOf();
    const path = join(directory, "accounts");
    writeFileSync(path, accounts);
    await using registry = await Registry.start(directory, { htpasswd: { realm: "the test's", path } });
    const refusal = async (...flags: readonly string[]): Promise<string> =>
      await push(registry, ...flags).then(() => assert.fail("it was taken"), describeError);
    const anonymous = await refusal();
    assert.match(anonymous, /does not let a caller without credentials push to team\/mesh\/pilot: 401\b/);
    assert.ok(anonymous.includes(`docker login ${registry.host}`), anonymous);
    assert.match(
      await refusal("--username", account.username, "--password", "guess"),
      /does not let the user mesh push to team\/mesh\/pilot: 401.*\n {2}hint: check the password/,
    );
    assert.equal((await registry.get("/v2/team/mesh/pilot/tags/list")).status, 401);
    assert.match(await push(registry, "--username", account.username, "--password-stdin"), /Next: serin install/);
  });
});

interface Blob {
  readonly digest: string;
  readonly size: number;
}

interface Manifest extends Blob {
  readonly platform?: { readonly architecture: string };
}

interface ManifestContent {
  readonly config: Blob;
  readonly layers: readonly Blob[];
}
