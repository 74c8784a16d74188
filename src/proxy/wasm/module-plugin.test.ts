import assert from "node:assert/strict";
import { test } from "node:test";
import type { MachineLease, ModuleMachine } from "./module-machine.ts";
import { ModulePlugin, type ModulePluginOptions } from "./module-plugin.ts";
import type { ModuleCode } from "./module-source.ts";

test("a plugin that is dropped while its module refuses to start gives its machine back", async () => {
  const answer = Promise.withResolvers<number>();
  const leased = Promise.withResolvers<undefined>();
  const failures: string[] = [];
  let released = 0;
  const plugin = new ModulePlugin(
    {
      plugin: { name: "p" } as ModulePluginOptions["plugin"],
      machine: {} as ModulePluginOptions["machine"],
      failure: "closed",
      load: () => Promise.resolve({} as ModuleCode),
    },
    {
      steadyMs: () => 0,
      lease: () => {
        leased.resolve(undefined);
        const machine = { configure: async () => await answer.promise } as unknown as ModuleMachine;
        return Promise.resolve({ machine, release: () => (released += 1) } as unknown as MachineLease);
      },
      failed: (_name, message) => failures.push(message),
    },
  );
  const session = plugin.session();
  plugin.end();
  await leased.promise;
  answer.resolve(0);
  assert.equal(await session, undefined);
  assert.equal(released, 1);
  // Nobody uses the plugin any more, so its failure is not reported.
  assert.deepEqual(failures, []);
});
