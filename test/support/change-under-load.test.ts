import assert from "node:assert/strict";
import { test } from "node:test";
import { changeUnderLoad, type RunningLoad } from "./change-under-load.ts";

function recordedLoad(failures: readonly string[] = []): { readonly calls: string[]; readonly load: RunningLoad } {
  const calls: string[] = [];
  const note = (call: string) => async () => void calls.push(call);
  return {
    calls,
    load: {
      requests: 40,
      failures,
      begun: note("begun"),
      more: async (count) => void calls.push(`${count} more`),
      stop: note("stop"),
    },
  };
}

test("the change happens between answers, and a failed request fails it", async () => {
  const { calls, load } = recordedLoad();
  await changeUnderLoad(load, async () => void calls.push("change"));
  assert.deepEqual(calls, ["begun", "change", "20 more", "stop"]);
  const failed = recordedLoad(["503"]).load;
  await assert.rejects(
    changeUnderLoad(failed, async () => undefined, 5),
    /1 of 40 requests failed/,
  );
});

test("the load ends even if the change fails, and the error is the change's", async () => {
  const { calls, load } = recordedLoad(["503"]);
  const change = async (): Promise<void> => await Promise.reject(new Error("the upgrade was refused"));
  await assert.rejects(changeUnderLoad(load, change), /the upgrade was refused/);
  assert.deepEqual(calls, ["begun", "stop"]);
});
