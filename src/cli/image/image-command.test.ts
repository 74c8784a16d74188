import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { promisify } from "node:util";
import { Command } from "commander";
import { describeError, type Environment } from "../../base/index.ts";
import { FakeContext } from "../testing/fake-context.ts";
import { readUserFile } from "../user-file.ts";
import { imageCommands } from "./image-command.ts";
import { chooseImages } from "./image-layout.ts";
import { FakeRegistry } from "./testing/fake-registry.ts";
import { registryCertificate } from "./testing/registry-certificate.ts";
import { writeSmallLayout } from "./testing/small-layout.ts";

const run = promisify(execFile);
const pilot = "ghcr.io/serin-mesh/pilot:1.18.1";
const ztunnel = "ghcr.io/serin-mesh/ztunnel:1.18.1";
const { username, password, identityToken } = FakeRegistry.account;

interface Machine {
  readonly env?: Environment;
  readonly files?: Readonly<Record<string, string>>;
  readonly readFile?: (path: string) => Promise<string>;
}

suite("serin image", () => {
  const scratch = mkdtempSync(join(tmpdir(), "serin-image-"));
  const layout = join(scratch, "layout");
  before(() => writeSmallLayout(layout, [pilot, ztunnel]));
  after(() => rmSync(scratch, { recursive: true, force: true }));

  const ran = async (args: readonly string[], machine: Machine = {}): Promise<FakeContext> => {
    const { env = {}, files = {}, readFile } = machine;
    const context = Object.assign(new FakeContext({ files }), { env, ...(readFile === undefined ? {} : { readFile }) });
    const program = new Command().exitOverride();
    imageCommands(program, context);
    await program.parseAsync([
      "node",
      "serin",
      "image",
      ...args,
      ...(args.includes("--layout") ? [] : ["--layout", layout]),
    ]);
    return context;
  };
  const serin = async (args: readonly string[], machine?: Machine): Promise<string> =>
    (await ran(args, machine)).output;
  const refused = async (args: readonly string[], expected: RegExp, machine?: Machine): Promise<void> => {
    await assert.rejects(serin(args, machine), (error: unknown) => {
      assert.match(describeError(error), expected);
      return true;
    });
  };
  const skopeo = async (...args: readonly string[]): Promise<string> => (await run("skopeo", [...args])).stdout;
  const architectureOf = async (...args: readonly string[]): Promise<string> =>
    (JSON.parse(await skopeo("inspect", ...args)) as { readonly Architecture: string }).Architecture;

  test("list prints every image with its sizes, and counts shared layers once", async () => {
    const output = await serin(["list"]);
    assert.match(output, /^IMAGE +ARCHITECTURE +SIZE\n/);
    for (const name of [pilot, ztunnel])
      for (const architecture of ["amd64", "arm64"])
        assert.match(output, new RegExp(`^${name} +${architecture} +\\d KiB$`, "m"));
    assert.match(output, /^all images for arm64: \d KiB, because they share layers$/m);
  });

  test("skopeo reads both architectures of every image in an OCI archive with all layers", async () => {
    const archive = join(scratch, "all.tar");
    assert.match(await serin(["save", "-o", archive]), /✔ .*all\.tar: 2 images, .*\nNext: kind load image-archive/);
    for (const name of [pilot, ztunnel])
      for (const architecture of ["amd64", "arm64"])
        assert.equal(
          await architectureOf("--override-arch", architecture, `oci-archive:${archive}:${name}`),
          architecture,
        );
    await skopeo("copy", "--all", `oci-archive:${archive}:${pilot}`, `dir:${join(scratch, "copied")}`);
    assert.deepEqual(
      readdirSync(scratch).filter((file) => file.endsWith(".partial")),
      [],
    );
  });

  test("an OCI archive of one architecture contains only that one", async () => {
    const archive = join(scratch, "arm64.tar");
    await serin(["save", "pilot", "-o", archive, "--arch", "arm64"]);
    assert.equal(await architectureOf("--override-arch", "arm64", `oci-archive:${archive}:${pilot}`), "arm64");
    await assert.rejects(skopeo("inspect", `oci-archive:${archive}:${ztunnel}`));
  });

  test("skopeo unpacks every image of a docker archive by name", async () => {
    const archive = join(scratch, "docker.tar");
    assert.match(await serin(["save", "-o", archive, "--format", "docker", "--arch", "arm64"]), /docker load/);
    for (const name of [pilot, ztunnel]) {
      assert.equal(await architectureOf("--override-arch", "arm64", `docker-archive:${archive}:${name}`), "arm64");
      await skopeo(
        "copy",
        "--override-arch",
        "arm64",
        `docker-archive:${archive}:${name}`,
        `dir:${join(scratch, name.slice(19, 24))}`,
      );
    }
  });

  test("an image that cannot be saved is refused before anything is written", async () => {
    const archive = join(scratch, "never.tar");
    await refused(["save", "nobody", "-o", archive], /no image called nobody\n.*serin image list/);
    await refused(
      ["save", "-o", archive, "--arch", "riscv64"],
      /does not exist for riscv64; it exists for amd64, arm64/,
    );
    const broken = join(scratch, "broken");
    writeSmallLayout(broken, [pilot]);
    const blobs = join(broken, "blobs/sha256");
    for (const name of readdirSync(blobs)) {
      const text = readFileSync(join(blobs, name));
      if (text.subarray(0, 2).toString("hex") === "1f8b") rmSync(join(blobs, name));
    }
    await refused(["save", "-o", archive, "--layout", broken], /blobs\/sha256\/[0-9a-f]{64}: the file is missing/);
    await refused(
      ["list", "--layout", join(scratch, "nothing")],
      /no images in .*nothing: index\.json is missing\n  hint: run `npm run image`/,
    );
    const unreadable = join(scratch, "unreadable");
    mkdirSync(join(unreadable, "index.json"), { recursive: true });
    await refused(["list", "--layout", unreadable], /cannot read .*unreadable\/index\.json: it is a directory/);
    const climbing = join(scratch, "climbing");
    writeSmallLayout(climbing, [pilot]);
    const index = join(climbing, "index.json");
    writeFileSync(index, readFileSync(index, "utf8").replace(/sha256:[0-9a-f]{64}/, "sha256:../../etc/passwd"));
    await refused(["list", "--layout", climbing], /expected sha256:<64 hex digits>/);
    assert.equal(
      readdirSync(scratch).some((file) => file.startsWith("never")),
      false,
    );
  });

  test("load passes one architecture of the images to containerd's client, in the kubelets' namespace", async () => {
    const client = join(scratch, "ctr");
    writeFileSync(client, `#!/bin/sh\necho "$@" > ${scratch}/arguments\ncat > ${scratch}/imported.tar\n`);
    chmodSync(client, 0o755);
    const output = await serin([
      "load",
      "ztunnel",
      "--ctr",
      `${client} ctr`,
      "--address",
      "/run/c.sock",
      "--arch",
      "arm64",
    ]);
    assert.equal(output, `✔ ${ztunnel}\n`);
    assert.equal(
      readFileSync(join(scratch, "arguments"), "utf8"),
      "ctr --address /run/c.sock -n k8s.io images import -\n",
    );
    const archive = `oci-archive:${scratch}/imported.tar:${ztunnel}`;
    assert.equal(await architectureOf("--override-arch", "arm64", archive), "arm64");
  });

  test("load reports its client's error, and the remedy if there is no client", async () => {
    const client = join(scratch, "refusing-ctr");
    writeFileSync(client, "#!/bin/sh\necho 'ctr: permission denied' >&2\nexit 1\n");
    chmodSync(client, 0o755);
    await refused(["load", "--ctr", client], /ctr: permission denied\n.*--address/);
    await refused(["load", "--ctr", join(scratch, "no-ctr")], /cannot run .*no-ctr.*\n(.*\n)?.*serin image save/);
  });

  test("push sends missing blobs once, and skopeo finds both architectures in the registry", async () => {
    await using registry = await new FakeRegistry().start();
    const hub = `${registry.host}/team/mesh`;
    const output = await serin(["push", "--hub", hub, "--plain-http"]);
    assert.match(output, new RegExp(`✔ ${hub}/pilot:1\\.18\\.1: .* sent, 0 of 6 blobs were already there`));
    assert.match(
      output,
      new RegExp(`✔ ${hub}/ztunnel:1\\.18\\.1: .* sent, 2 of 6 blobs were already there`),
      "mounted",
    );
    assert.match(output, new RegExp(`Next: serin install --set hub=${hub}\n`));
    for (const architecture of ["amd64", "arm64"])
      assert.equal(
        await architectureOf(
          "--tls-verify=false",
          "--no-tags",
          "--override-arch",
          architecture,
          `docker://${hub}/ztunnel:1.18.1`,
        ),
        architecture,
      );
    const uploads = (): number =>
      registry.log.filter((line) => line.startsWith("PUT /v2/team/mesh/pilot/blobs")).length;
    assert.equal(uploads(), 6);
    assert.match(await serin(["push", "pilot", "--hub", hub, "--plain-http"]), /the registry already had its content/);
    assert.equal(uploads(), 6);
  });

  for (const authentication of ["basic", "bearer"] as const) {
    test(`push authenticates to a registry (${authentication}) with flags, standard input or docker login`, async () => {
      await using registry = await new FakeRegistry({ authentication }).start();
      const push = ["push", "--hub", `${registry.host}/mesh`, "--plain-http"];
      assert.match(await serin([...push, "--username", username, "--password", password]), /Next:/);
      const files = { "-": `${password}\n` };
      assert.match(await serin([...push, "--username", username, "--password-stdin"], { files }), /Next:/);
      const auth = Buffer.from(`${username}:${password}`).toString("base64");
      const login = {
        env: { HOME: "/home/mesh" },
        files: {
          "/home/mesh/.docker/config.json": JSON.stringify({ auths: { [`http://${registry.host}/v1/`]: { auth } } }),
        },
      };
      assert.match(await serin(push, login), /Next:/);
      assert.ok(registry.manifests.has("mesh/pilot:1.18.1"));
      const refusal = new RegExp(
        `${registry.host} does not let a caller without credentials push to mesh/pilot: 401[^\n]*\n.*docker login ${registry.host}`,
      );
      await refused(push, refusal);
      await refused([...push, "--username", username, "--password", "guess"], /does not let the user mesh push/);
    });
  }

  test("save and load leave out images with names of other projects, unless all or their names are requested", async () => {
    const mixed = join(scratch, "mixed");
    const addon = "docker.io/prom/prometheus:v3.10.0";
    const sample = "ghcr.io/serin-mesh/streams:1";
    writeSmallLayout(mixed, [pilot, ztunnel, addon, sample]);
    const client = join(scratch, "all-ctr");
    writeFileSync(client, "#!/bin/sh\ncat > /dev/null\n");
    chmodSync(client, 0o755);
    const load = async (...args: readonly string[]): Promise<string[]> =>
      (await serin(["load", ...args, "--ctr", client, "--layout", mixed])).match(/(?<=✔ ).*/g) ?? [];
    assert.deepEqual(await load(), [pilot, ztunnel, sample]);
    assert.deepEqual(await load("--all"), [pilot, ztunnel, addon, sample]);
    assert.deepEqual(await load("prometheus"), [addon]);
    const archive = join(scratch, "mixed.tar");
    assert.match(await serin(["save", "-o", archive, "--layout", mixed]), /mixed\.tar: 3 images, /);
    assert.match(await serin(["save", "-o", archive, "--layout", mixed, "--all"]), /mixed\.tar: 4 images, /);
    const notes = async (...args: readonly string[]): Promise<string> =>
      (await ran([...args, "--layout", mixed])).errors;
    assert.equal(
      await notes("save", "-o", archive),
      "! left out 1 images of samples and addons, because they have the names of other projects' images; to include them, pass --all, or name them (serin image list)\n",
    );
    assert.equal(await notes("save", "-o", archive, "--all"), "");
    // With a hub of the user's own, the command also pushes images of other projects, because it renames them to this
    // hub.
    await using registry = await new FakeRegistry().start();
    const hub = `${registry.host}/mesh`;
    await serin(["push", "--hub", hub, "--plain-http", "--layout", mixed]);
    assert.ok(registry.manifests.has("mesh/prometheus:v3.10.0"));
    const local = [`${hub}/pilot:1`, `${hub}/ztunnel:1`];
    const named = join(scratch, "named");
    writeSmallLayout(named, [...local, addon]);
    assert.match(
      (await ran(["push", "--plain-http", "--layout", named])).errors,
      /; to include them, name them \(serin image list\)\n$/,
    );
  });

  test("images of other projects are left out of a layout without pilot, and of one without components", async () => {
    const addon = "docker.io/prom/prometheus:v3.10.0";
    const partial = join(scratch, "partial");
    const archive = join(scratch, "partial.tar");
    const own = "registry.example.com/mesh/ztunnel:1";
    writeSmallLayout(partial, [addon, own]);
    assert.match(await serin(["save", "-o", archive, "--layout", partial]), /partial\.tar: 1 image, /);
    assert.equal(await architectureOf("--override-arch", "amd64", `oci-archive:${archive}:${own}`), "amd64");
    const sample = "ghcr.io/serin-mesh/streams:1";
    const samples = join(scratch, "samples");
    writeSmallLayout(samples, [addon, sample]);
    assert.match(await serin(["save", "-o", archive, "--layout", samples]), /partial\.tar: 1 image, /);
    const foreign = join(scratch, "foreign");
    writeSmallLayout(foreign, [addon]);
    await refused(["save", "-o", archive, "--layout", foreign], /no image of the mesh: none is under ghcr\.io/);
  });

  test("each component of the catalogue tells the hub of the mesh", () => {
    const catalogue = readFileSync(join(import.meta.dirname, "../../../manifests/images.yaml"), "utf8");
    const names = [...catalogue.matchAll(/^- images: \["\*\/(.*)"\]\n {2}release: tag$/gm)].map(([, name]) => name);
    assert.ok(names.length > 4);
    const index = { mediaType: "", digest: "", size: 0 };
    for (const name of names) {
      const images = ["docker.io/prom/prometheus:v3.10.0", `registry.example.com/mesh/${name}:1`];
      const own = chooseImages(
        images.map((reference) => ({ reference, index, variants: [] })),
        { names: [], all: false },
      );
      assert.deepEqual(
        own.map(({ reference }) => reference),
        images.slice(1),
      );
    }
  });

  test("push needs no account where docker has never logged in and the registry asks for none", async () => {
    await using registry = await new FakeRegistry().start();
    const push = ["push", "pilot", "--hub", `${registry.host}/mesh`, "--plain-http"];
    for (const env of [{ HOME: scratch }, { HOME: scratch, DOCKER_CONFIG: join(scratch, "none") }]) {
      const readFile = readUserFile;
      assert.match(await serin(push, { env, readFile }), /✔/);
    }
  });

  test("push accepts an identity token, and a password from docker's credential helper", async () => {
    await using registry = await new FakeRegistry({ authentication: "bearer" }).start();
    const push = ["push", "pilot", "--hub", `${registry.host}/mesh`, "--plain-http"];
    const withConfig = (config: object): Machine => ({
      env: { DOCKER_CONFIG: "/etc/docker", PATH: `${scratch}:/usr/bin:/bin` },
      files: { "/etc/docker/config.json": JSON.stringify(config) },
    });
    assert.match(await serin(push, withConfig({ auths: { [registry.host]: { identitytoken: identityToken } } })), /✔/);
    const helper = join(scratch, "docker-credential-vault");
    const answer = JSON.stringify({ Username: username, Secret: password });
    writeFileSync(helper, `#!/bin/sh\nread -r server\n[ "$server" = "${registry.host}" ] && echo '${answer}'\n`);
    chmodSync(helper, 0o755);
    const stored = withConfig({ credsStore: "vault" });
    assert.match(await serin(push, stored), /✔/);
    await refused(push, /docker-credential-none .*\n.*--password-stdin/, withConfig({ credsStore: "none" }));
  });

  test("push names the field of docker's configuration or of a helper's answer that has another type, and quotes no secret", async () => {
    const push = ["push", "pilot", "--hub", "127.0.0.1:1/mesh", "--plain-http"];
    const withConfig = (config: unknown): Machine => ({
      env: { DOCKER_CONFIG: "/etc/docker", PATH: `${scratch}:/usr/bin:/bin` },
      files: { "/etc/docker/config.json": JSON.stringify(config) },
    });
    const entry = (fields: unknown): object => ({ auths: { "127.0.0.1:1": fields } });
    const configs: readonly (readonly [config: unknown, fault: string])[] = [
      [[], " is not a JSON object"],
      [{ credsStore: 5 }, ": credsStore must be a string"],
      [{ credHelpers: "vault" }, ": credHelpers must be an object"],
      [{ credHelpers: { "127.0.0.1:1": ["vault"] } }, ': credHelpers["127.0.0.1:1"] must be a string'],
      [{ auths: "none" }, ": auths must be an object"],
      [entry("c2VjcmV0"), ': auths["127.0.0.1:1"] must be an object'],
      [entry({ auth: 5 }), ': auths["127.0.0.1:1"].auth must be a string'],
      [entry({ username: "u", password: 5 }), ': auths["127.0.0.1:1"].password must be a string'],
      [entry({ identitytoken: {} }), ': auths["127.0.0.1:1"].identitytoken must be a string'],
    ];
    for (const [config, fault] of configs)
      await assert.rejects(serin(push, withConfig(config)), {
        kind: "user",
        code: "file-invalid",
        message: `/etc/docker/config.json${fault}`,
      });
    const answers: readonly (readonly [answer: string, fault: string])[] = [
      ["secret", "no JSON"],
      ["[]", "no JSON object"],
      ["null", "no JSON object"],
      ['{"Username":5,"Secret":"secret"}', "a Username that is not a string"],
      ['{"Username":"u","Secret":{"secret":1}}', "a Secret that is not a string"],
    ];
    const helper = join(scratch, "docker-credential-odd");
    for (const [answer, fault] of answers) {
      writeFileSync(helper, `#!/bin/sh\ncat >/dev/null\necho '${answer}'\n`);
      chmodSync(helper, 0o755);
      await assert.rejects(serin(push, withConfig({ credsStore: "odd" })), {
        kind: "user",
        code: "credential-helper",
        message: `docker-credential-odd printed ${fault} for 127.0.0.1:1, expected an object with the texts Username and Secret`,
      });
    }
  });

  test("push names the registry and the remedy if it is unreachable, refuses or speaks no TLS", async () => {
    const gone = await new FakeRegistry().start();
    const { host } = gone;
    await gone[Symbol.asyncDispose]();
    const push = (to: string, ...rest: readonly string[]) => ["push", "pilot", "--hub", `${to}/mesh`, ...rest];
    await refused(push(host, "--plain-http"), new RegExp(`cannot reach the registry ${host}: .*ECONNREFUSED`));
    await using full = await new FakeRegistry({ uploadStatus: 507 }).start();
    await refused(
      push(full.host, "--plain-http"),
      /answered POST of mesh\/pilot with 507 \(UNKNOWN: the disk is full\)/,
    );
    await refused(push(full.host), /cannot reach the registry [^\n]*\n(.*\n)*.*--plain-http/);
    await refused(push("no-registry"), /is not a full image name: .*\n.*registry\.example\.com/);
  });

  test("push distinguishes an account without write access from an unknown one", async () => {
    await using registry = await new FakeRegistry({ readOnly: true }).start();
    const push = ["push", "pilot", "--hub", `${registry.host}/mesh`, "--plain-http"];
    await refused(
      [...push, "--username", username, "--password", password],
      /does not let the user mesh push to mesh\/pilot: 403 \(DENIED: pull alone\)\n.*give this account the right to write to mesh\/pilot/,
    );
    await refused(
      push,
      new RegExp(`a caller without credentials push to mesh/pilot: 403.*\n.*docker login ${registry.host}`),
    );
  });

  test("push accepts a registry's own authority, and explains a certificate's fault with a remedy", async () => {
    const tls = await registryCertificate();
    const other = await registryCertificate();
    const files = {
      "ca.pem": tls.cert,
      "other.pem": other.cert,
      "ca.der": "\u0030\u0082",
      "cut.pem": tls.cert.slice(0, 90),
    };
    await using registry = await new FakeRegistry({ tls }).start();
    const push = (to: FakeRegistry, ...rest: readonly string[]) => [
      "push",
      "pilot",
      "--hub",
      `${to.host}/mesh`,
      ...rest,
    ];
    assert.match(await serin(push(registry, "--ca-file", "ca.pem"), { files }), /✔/);
    const unreachable = `cannot reach the registry ${registry.host}: .*`;
    await refused(push(registry), new RegExp(`${unreachable}self-signed.*\n(.*\n)*.*--ca-file <file> names`));
    await refused(
      push(registry, "--ca-file", "other.pem"),
      new RegExp(`${unreachable}\n(.*\n)*.*the authority in --ca-file has not signed`),
      { files },
    );
    for (const file of ["ca.der", "cut.pem"])
      await refused(
        push(registry, "--ca-file", file),
        new RegExp(`--ca-file ${file} contains no certificate in PEM\n`),
        {
          files,
        },
      );
    await refused(push(registry, "--ca-file", "absent.pem"), /absent\.pem/);
    const elsewhere = await registryCertificate({ address: "127.9.9.9" });
    await using misnamed = await new FakeRegistry({ tls: elsewhere }).start();
    await refused(
      push(misnamed, "--ca-file", "ca.pem"),
      /127\.9\.9\.9.*\n(.*\n)*.*--hub must name the registry as its certificate does/,
      { files: { "ca.pem": elsewhere.cert } },
    );
    const old = await registryCertificate({ from: new Date("2020-01-01"), to: new Date("2020-02-01") });
    await using expired = await new FakeRegistry({ tls: old }).start();
    await refused(
      push(expired, "--ca-file", "ca.pem"),
      /expired\n(.*\n)*.*renew the registry's certificate, or set this machine's clock/,
      { files: { "ca.pem": old.cert } },
    );
  });
});
