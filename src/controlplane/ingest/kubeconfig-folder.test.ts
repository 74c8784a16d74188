import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createLogger, onAbort } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { KubeconfigFolder } from "./kubeconfig-folder.ts";

const scratch = mkdtempSync(join(tmpdir(), "kubeconfig-folder-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

/** A clock whose sleeps last until the test ends them. */
class SleepingClock extends HandClock {
  #wake: (() => void) | undefined;
  #asleep = Promise.withResolvers<void>();

  override async sleep(_ms = 0, signal?: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    if (signal !== undefined) onAbort(signal, resolve);
    this.#asleep.resolve();
    await promise;
  }

  /** Ends the sleep, and returns when the next one begins. */
  async round(): Promise<void> {
    await this.#asleep.promise;
    this.#asleep = Promise.withResolvers<void>();
    this.#wake?.();
    await this.#asleep.promise;
  }
}

function kubeconfig(cluster: string, server = "https://one"): string {
  return JSON.stringify({
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster } }],
    clusters: [{ name: cluster, cluster: { server } }],
  });
}

/** Follows the folder `name`. `read` reads the folder once more and returns the changes since its last call. */
async function follow(name: string) {
  const path = join(scratch, name);
  const lines: string[] = [];
  const clock = new SleepingClock();
  const stop = new AbortController();
  const log = createLogger({ scope: "test", write: (line) => void lines.push(line) });
  const folder = new KubeconfigFolder({ path, clock, log });
  const changes: string[] = [];
  folder.subscribe(({ type, config }) =>
    changes.push(`${type} ${config.key} ${[...config.kubeconfigs.keys()].join()}`),
  );
  const running = folder.run(stop.signal);
  await folder.synced;
  const read = async (): Promise<string[]> => {
    await clock.round();
    return changes.splice(0);
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  const write = (file: string, text: string): void => writeFileSync(join(path, file), text);
  return { path, folder, lines, read, write, end };
}

test("a folder that appears later names clusters by its files' current contexts, and the cluster of a removed file is removed", async () => {
  const { path, folder, lines, read, write, end } = await follow("later");
  assert.deepEqual(await read(), []);
  mkdirSync(path);
  write("east.yaml", kubeconfig("east"));
  write("west.yml", kubeconfig("west"));
  write("notes.txt", "not a kubeconfig");
  assert.deepEqual(await read(), ["add east.yaml east", "add west.yml west"]);
  write("east.yaml", kubeconfig("north"));
  rmSync(join(path, "west.yml"));
  assert.deepEqual(await read(), ["update east.yaml north", "delete west.yml "]);
  assert.deepEqual(
    folder.list().map(({ key }) => key),
    ["east.yaml"],
  );
  assert.deepEqual(await read(), []);
  assert.deepEqual(lines, []);
  await end();
});

test("a volume's files are read through their links, also after the kubelet has replaced them", async () => {
  const { path, read, end } = await follow("volume");
  mkdirSync(join(path, "..first"), { recursive: true });
  writeFileSync(join(path, "..first/east.yaml"), kubeconfig("east"));
  symlinkSync("..first", join(path, "..data"));
  symlinkSync("..data/east.yaml", join(path, "east.yaml"));
  assert.deepEqual(await read(), ["add east.yaml east"]);
  mkdirSync(join(path, "..second"));
  writeFileSync(join(path, "..second/east.yaml"), kubeconfig("east", "https://two"));
  symlinkSync("..second", join(path, "..next"));
  renameSync(join(path, "..next"), join(path, "..data"));
  assert.deepEqual(await read(), ["update east.yaml east"]);
  await end();
});

test("a file that becomes unusable keeps its cluster, and its fault is logged once", async () => {
  const { path, folder, lines, read, write, end } = await follow("broken");
  mkdirSync(path);
  write("east.yaml", kubeconfig("east"));
  await read();
  write("east.yaml", "");
  assert.deepEqual(await read(), []);
  assert.deepEqual(lines, []);
  write("east.yaml", "{");
  assert.deepEqual(await read(), []);
  assert.deepEqual(await read(), []);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /east\.yaml is not valid YAML/);
  assert.ok(folder.get("east.yaml")?.kubeconfigs.has("east"));
  write("east.yaml", JSON.stringify({ contexts: [] }));
  await read();
  assert.match(lines[1] ?? "", /names no cluster/);
  await end();
});
