import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { aborted, createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { PluginInstaller, type PluginInstallerOptions } from "./plugin-installer.ts";

const network = `${JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins: [{ type: "ptp" }] }, undefined, 2)}\n`;
const single = `${JSON.stringify({ cniVersion: "1.0.0", name: "pods", type: "bridge" }, undefined, 2)}\n`;

/** A node's folders, and an installer that runs until the test ends. */
class Node {
  readonly root = mkdtempSync(join(tmpdir(), "serin-installer-"));
  readonly conf = join(this.root, "net.d");
  readonly bin = join(this.root, "bin");
  readonly installer: PluginInstaller;
  installs = 0;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(context: TestContext, options: Partial<PluginInstallerOptions> = {}) {
    this.installer = new PluginInstaller({
      binDirectory: this.bin,
      confDirectory: this.conf,
      chained: true,
      program: Buffer.from("program"),
      onInstall: () => (this.installs += 1),
      log: createLogger({ scope: "test", write: () => undefined }),
      clock: systemClock,
      ...options,
    });
    context.after(async () => {
      await this.stop();
      rmSync(this.root, { recursive: true, force: true });
    });
  }

  start(): void {
    this.#running = this.installer.run(this.#stop.signal);
  }
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
  write(name: string, text: string): void {
    writeFileSync(join(this.conf, name), text);
  }
  plugins(name: string): string[] {
    const { plugins } = JSON.parse(readFileSync(join(this.conf, name), "utf8")) as { plugins: { type: string }[] };
    return plugins.map(({ type }) => type);
  }
}

test("the installer waits for the cluster's network, and never leaves a file that would make pods fail", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  assert.equal(statSync(join(node.bin, "serin-cni")).mode & 0o777, 0o755);
  assert.deepEqual(readdirSync(node.conf), []);
  assert.equal(node.installer.installed, false);
  node.write("10-ptp.conflist", network);
  chmodSync(join(node.conf, "10-ptp.conflist"), 0o640);
  await until(() => node.installer.installed);
  assert.deepEqual(node.plugins("10-ptp.conflist"), ["ptp", "serin-cni"]);
  assert.equal(statSync(join(node.conf, "10-ptp.conflist")).mode & 0o777, 0o640);
  assert.equal(node.installs, 1);
});

test("the installer chains again when another program rewrites the file or the program", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  node.write("10-ptp.conflist", network);
  await until(() => node.plugins("10-ptp.conflist").length === 2);
  node.write("10-ptp.conflist", network);
  await until(() => node.plugins("10-ptp.conflist").length === 2);
  writeFileSync(join(node.bin, "serin-cni"), "other");
  await until(() => readFileSync(join(node.bin, "serin-cni"), "utf8") === "program");
  node.write("05-cilium.conflist", network);
  await until(() => node.plugins("05-cilium.conflist").length === 2);
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["05-cilium.conflist", "10-ptp.conflist"]);
});

test("the installer removes its own files, and restores the changed ones", async (context) => {
  const node = new Node(context);
  node.start();
  await until(() => existsSync(join(node.bin, "serin-cni")));
  node.write("10-bridge.conf", single);
  node.write("20-ptp.conflist", network);
  // The first release of Serin left this file, which names a plugin that does not exist.
  node.write("serin-cni.conf", '{"cniVersion":"1.0.0","name":"serin-cni","type":"serin-cni"}');
  await until(() => node.installer.installed && !existsSync(join(node.conf, "serin-cni.conf")));
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["10-bridge.conflist", "20-ptp.conflist"]);
  await node.stop();
  node.installer.unchain();
  node.installer.removeProgram();
  assert.deepEqual(readdirSync(node.conf).toSorted(), ["10-bridge.conf", "20-ptp.conflist"]);
  assert.equal(readFileSync(join(node.conf, "10-bridge.conf"), "utf8"), single);
  assert.equal(readFileSync(join(node.conf, "20-ptp.conflist"), "utf8"), network);
  assert.deepEqual(readdirSync(node.bin), []);
});

test("a failed installation leaves no file behind, and is not repeated at once because of its own changes", async (context) => {
  const pausesMs: number[] = [];
  const failures: unknown[] = [];
  const node = new Node(context, {
    onInstall: (error) => void failures.push(error),
    clock: {
      ...systemClock,
      sleep: async (ms, signal) => {
        pausesMs.push(ms);
        await aborted(signal ?? assert.fail());
      },
    },
  });
  // A file cannot replace a folder.
  mkdirSync(join(node.bin, "serin-cni/other"), { recursive: true });
  node.start();
  await until(() => pausesMs.length === 2);
  assert.deepEqual(pausesMs, [30_000, 5_000]);
  assert.equal(failures.length, 1);
  assert.deepEqual(readdirSync(node.bin), ["serin-cni"]);
});

test("the plugin is chained into a named file, and gets its own file on platforms that call by name", async (context) => {
  const named = new Node(context, { confFile: "20-ptp.conf" });
  named.start();
  await until(() => existsSync(join(named.bin, "serin-cni")));
  named.write("10-other.conflist", network);
  named.write("20-ptp.conflist", network);
  await until(() => named.plugins("20-ptp.conflist").length === 2);
  assert.deepEqual(named.plugins("10-other.conflist"), ["ptp"]);
  const multus = new Node(context, { chained: false, confFile: "istio-cni.conf" });
  multus.start();
  await until(() => multus.installer.installed);
  assert.equal(
    (JSON.parse(readFileSync(join(multus.conf, "istio-cni.conf"), "utf8")) as { type: string }).type,
    "serin-cni",
  );
  await multus.stop();
  multus.installer.unchain();
  assert.deepEqual(readdirSync(multus.conf), []);
});
