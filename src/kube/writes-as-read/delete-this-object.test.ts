import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { DeleteOptions, KubeClient } from "../client.ts";
import { deleteThisObject } from "./delete-this-object.ts";

const kind = { kind: "Canary", plural: "canaries" } as unknown as KindDefinition<KubernetesObject>;
const withUid = (uid: string): KubernetesObject => ({ metadata: { name: "web", namespace: "shop", uid } });

/** A server with one object. After a deletion, the object disappears at the read with the given number. */
class Server {
  found: KubernetesObject | undefined;
  deletions: (string | undefined)[] = [];
  readonly #looks: number;
  #deletedFor = 0;

  constructor(uid: string, looks = 1) {
    this.found = withUid(uid);
    this.#looks = looks;
  }

  get client(): Pick<KubeClient, "get" | "delete"> {
    const client = {
      get: async (): Promise<KubernetesObject | undefined> => {
        if (this.deletions.length > 0 && ++this.#deletedFor === this.#looks) this.found = undefined;
        return await Promise.resolve(this.found);
      },
      delete: async (_kind: unknown, _name: string, _namespace: unknown, { preconditions }: DeleteOptions = {}) => {
        if (preconditions?.uid !== this.found?.metadata.uid) throw userError("conflict", "the UID differs");
        this.deletions.push(preconditions?.uid);
        await Promise.resolve();
      },
    };
    return client as unknown as Pick<KubeClient, "get" | "delete">;
  }
}

async function deleted(server: Server, uid = "first", onSleep: () => void = () => undefined): Promise<string> {
  let nowMs = 0;
  const clock = {
    steadyMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
      onSleep();
      await Promise.resolve();
    },
  };
  return await deleteThisObject(server.client, kind, withUid(uid), { clock, timeoutMs: 100, pollMs: 10 });
}

test("an object is deleted, and its end awaited", async () => {
  const server = new Server("first", 3);
  assert.equal(await deleted(server), "gone");
  assert.deepEqual(server.deletions, ["first"]);
});

test("an object that somebody else has recreated meanwhile is not deleted", async () => {
  const server = new Server("second");
  assert.equal(await deleted(server), "replaced");
  assert.deepEqual(server.deletions, []);
});

test("the deletion does not wait for the end of an object that is recreated meanwhile", async () => {
  const server = new Server("first", 100);
  assert.equal(await deleted(server, "first", () => void (server.found = withUid("second"))), "replaced");
});

test("a deletion that does not end is reported", async () => {
  assert.equal(await deleted(new Server("first", 100)), "still-there");
});
