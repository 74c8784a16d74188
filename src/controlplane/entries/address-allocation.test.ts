import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceEntryKind, type ServiceEntry } from "../../api/istio/index.ts";
import { createLogger, silentLogger, systemClock, type Logger } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { createInformer } from "../../kube/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { runAddressAllocation } from "./address-allocation.ts";

type Given = readonly { value: string; host: string }[] | undefined;

function entry(name: string, spec: object, more: object = {}, namespace = "shop"): ServiceEntry {
  return {
    kind: "ServiceEntry",
    metadata: { name, namespace },
    spec: { ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS", ...spec },
    ...more,
  } as unknown as ServiceEntry;
}

const smallRanges = ["240.240.0.0/30", "2001:2::/48"];

/**
 * Runs the controller while `body` runs. `given` waits until the addresses of an entry satisfy `isSo`, and returns
 * them.
 */
async function allocating(
  body: (
    client: FakeKubeClient,
    given: (name: string, isSo: (given: Given) => boolean) => Promise<Given>,
  ) => Promise<void>,
  ranges = ["240.240.0.0/28", "2001:2::/48"],
  log: Logger = silentLogger,
): Promise<void> {
  const client = new FakeKubeClient();
  const ended = new AbortController();
  const entries = createInformer(client, serviceEntryKind, { log, clock: systemClock });
  const work = Promise.all([
    entries.run(ended.signal),
    runAddressAllocation({ client, entries, ranges, clock: systemClock, log }, ended.signal),
  ]);
  const given = async (name: string, isSo: (found: Given) => boolean): Promise<Given> => {
    const found = await until(async () => {
      const addresses = (await client.get(serviceEntryKind, name, "shop"))?.status?.addresses as Given;
      return isSo(addresses) && { addresses };
    }, `${name} is as it should be`);
    return found.addresses;
  };
  try {
    await body(client, given);
  } finally {
    ended.abort();
    await work;
  }
}

const some = (given: Given): boolean => given !== undefined && given.length > 0;
const none = (given: Given): boolean => given !== undefined && given.length === 0;

test("every host gets an address of each family, keeps it, and returns it when it no longer wants one", async () => {
  await allocating(async (client, given) => {
    client.put(
      serviceEntryKind,
      entry("two", { hosts: ["a.example.com", "b.example.com", "*.c.example.com"], resolution: "STATIC" }),
    );
    const first = await given("two", some);
    assert.deepEqual(first, [
      { value: "240.240.0.1", host: "a.example.com" },
      { value: "2001:2::1", host: "a.example.com" },
      { value: "240.240.0.2", host: "b.example.com" },
      { value: "2001:2::2", host: "b.example.com" },
    ]);
    const status = (await client.get(serviceEntryKind, "two", "shop"))?.status;
    client.put(serviceEntryKind, entry("two", { hosts: ["b.example.com", "d.example.com"] }, { status }));
    assert.deepEqual(
      (await given("two", (found) => found?.[0]?.host === "b.example.com"))?.map(({ value }) => value),
      ["240.240.0.2", "2001:2::2", "240.240.0.3", "2001:2::3"],
    );
    client.put(
      serviceEntryKind,
      entry(
        "two",
        { hosts: ["b.example.com"], resolution: "NONE" },
        { status: (await client.get(serviceEntryKind, "two", "shop"))?.status },
      ),
    );
    await given("two", none);
  });
});

test("addresses that a user wrote are never allocated, and the older of two entries keeps a shared address", async () => {
  await allocating(async (client, given) => {
    client.put(serviceEntryKind, entry("user", { hosts: ["user.example.com"], addresses: ["240.240.0.1"] }));
    const held = { status: { addresses: [{ value: "240.240.0.3", host: "a.example.com" }] } };
    client.put(serviceEntryKind, entry("a-old", { hosts: ["a.example.com"] }, held));
    client.put(serviceEntryKind, entry("b-new", { hosts: ["a.example.com"] }, held));
    assert.equal((await given("b-new", (found) => found?.[0]?.value !== "240.240.0.3"))?.[0]?.value, "240.240.0.2");
    assert.equal((await given("a-old", some))?.[0]?.value, "240.240.0.3");
  });
});

test("addresses are compared in any spelling, and an address in a user's range is never allocated", async () => {
  await allocating(async (client, given) => {
    client.put(
      serviceEntryKind,
      entry("user", { hosts: ["user.example.com"], addresses: ["2001:0002:0000::0001", "240.240.0.1/32"] }),
    );
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example.com"] }));
    assert.deepEqual(
      (await given("asks", some))?.map(({ value }) => value),
      ["240.240.0.2", "2001:2::2"],
    );
    client.put(serviceEntryKind, entry("wide", { hosts: ["wide.example.com"], addresses: ["240.240.0.2/31"] }));
    await given("asks", (found) => found?.every(({ value }) => value.includes(":")) === true);
  }, smallRanges);
});

test("a range as wide as a pool is stepped over at once, and hinders only its own namespace", async () => {
  await allocating(async (client, given) => {
    client.put(
      serviceEntryKind,
      entry("all", { hosts: ["all.example.com"], addresses: ["240.240.0.0/30", "2001:2::/48"] }, {}, "evil"),
    );
    client.put(serviceEntryKind, entry("inside", { hosts: ["inside.example.com"] }, {}, "evil"));
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example.com"] }));
    assert.deepEqual(
      (await given("asks", some))?.map(({ value }) => value),
      ["240.240.0.1", "2001:2::1"],
    );
    assert.deepEqual((await client.get(serviceEntryKind, "inside", "evil"))?.status?.addresses ?? [], []);
  }, smallRanges);
});

test("an address that another namespace writes takes none that was allocated", async () => {
  await allocating(async (client, given) => {
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example.com"] }));
    const before = await given("asks", some);
    client.put(
      serviceEntryKind,
      entry("takes", { hosts: ["evil.example.com"], addresses: ["240.240.0.1", "2001:2::1"] }, {}, "evil"),
    );
    // The controller handles entries in order. When this entry has an address, it has also seen the entry of `evil`.
    client.put(serviceEntryKind, entry("later", { hosts: ["b.example.com"] }));
    await given("later", some);
    assert.deepEqual((await client.get(serviceEntryKind, "asks", "shop"))?.status?.addresses, before);
  });
});

test("the hosts and addresses of one namespace leave a part of a pool for others", async () => {
  await allocating(async (client, given) => {
    const hosts = ["a", "b", "c"].map((name) => `${name}.evil.example.com`);
    for (const [index, host] of hosts.entries()) {
      const name = `greedy-${index}`;
      client.put(serviceEntryKind, entry(name, { hosts: [host] }, {}, "evil"));
      await until(async () => (await client.get(serviceEntryKind, name, "evil"))?.status?.addresses !== undefined);
    }
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example.com"] }));
    assert.equal((await given("asks", some))?.[0]?.value, "240.240.0.3");
  }, smallRanges);
  await allocating(async (client, given) => {
    const addresses = ["240.240.0.1", "240.240.0.2", "240.240.0.3"];
    client.put(serviceEntryKind, entry("greedy", { hosts: ["evil.example.com"], addresses }, {}, "evil"));
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example.com"] }));
    assert.equal((await given("asks", some))?.[0]?.value, "240.240.0.1");
  }, smallRanges);
});

test("a namespace gets most of a pool, also in a burst, and the rest stays for others until room appears", async () => {
  const lines: string[] = [];
  const log = createLogger({ scope: "test", write: (line) => lines.push(line) });
  const body: Parameters<typeof allocating>[0] = async (client, given) => {
    const names = Array.from({ length: 240 }, (_, index) => `burst-${index}`);
    for (const name of names) client.put(serviceEntryKind, entry(name, { hosts: [`${name}.example`] }, {}, "greedy"));
    const addressesOf = async (name: string): Promise<readonly string[]> =>
      ((await client.get(serviceEntryKind, name, "greedy"))?.status?.addresses ?? []).map(({ value }) => value);
    const served = async (): Promise<readonly string[]> => {
      const all = await Promise.all(names.map(async (name) => ((await addressesOf(name)).length > 0 ? [name] : [])));
      return all.flat();
    };
    client.put(serviceEntryKind, entry("asks", { hosts: ["a.example"] }));
    await given("asks", some);
    assert.equal((await served()).length, 223, "an eighth of 255 is kept");
    assert.equal(lines.length, 240 - 223);
    assert.match(lines[0] ?? "", /few are free, and its namespace has half of what others leave/);
    assert.match(lines[0] ?? "", /range="?240\.240\.0\.0\/24"? ofNamespace=223 .*PILOT_IP_AUTOALLOCATE_IPV4_PREFIX/);

    await client.delete(serviceEntryKind, "asks", "shop");
    client.put(serviceEntryKind, entry("more", { hosts: ["b.example"] }));
    await given("more", some);
    assert.equal((await served()).length, 223, "what another namespace returns stays for others");
    await client.delete(serviceEntryKind, "more", "shop");
    const [first = ""] = await served();
    await client.delete(serviceEntryKind, first, "greedy");
    await until(async () => (await served()).length === 223);
    assert.equal(lines.length, 240 - 223, "one that still waits is not told again");
  };
  await allocating(body, ["240.240.0.0/24"], log);
});

test("all entries that wait get addresses when many become free at once", async () => {
  await allocating(
    async (client, given) => {
      const hosts = Array.from({ length: 20 }, (_, index) => `h${index}.example`);
      client.put(serviceEntryKind, entry("large", { hosts }, {}, "other"));
      await until(async () => (await client.get(serviceEntryKind, "large", "other"))?.status?.addresses?.length === 20);
      const names = Array.from({ length: 24 }, (_, index) => `e${index}`);
      for (const name of names) client.put(serviceEntryKind, entry(name, { hosts: [`${name}.example`] }));
      await given("e0", some);
      await client.delete(serviceEntryKind, "large", "other");
      for (const name of names) await given(name, some);
    },
    ["240.240.0.0/27"],
  );
});

test("a host that got an address of one family only gets the other one when an address becomes free", async () => {
  await allocating(async (client, given) => {
    const names = ["a", "b", "c"];
    for (const name of names) client.put(serviceEntryKind, entry(name, { hosts: [`${name}.example`] }, {}, name));
    for (const name of names)
      await until(async () => (await client.get(serviceEntryKind, name, name))?.status?.addresses !== undefined);
    client.put(serviceEntryKind, entry("asks", { hosts: ["asks.example"] }));
    assert.deepEqual(
      (await given("asks", some))?.map(({ value }) => value),
      ["2001:2::4"],
    );
    await client.delete(serviceEntryKind, "b", "b");
    assert.deepEqual(
      (await given("asks", (found) => found?.length === 2))?.map(({ value }) => value),
      ["2001:2::4", "240.240.0.2"],
    );
  }, smallRanges);
});

test("addresses that others wrote are given last, and never those of a namespace within its share", async () => {
  const written = (from: number, to: number): readonly string[] =>
    Array.from({ length: to - from + 1 }, (_, index) => `240.240.0.${from + index}`);
  await allocating(
    async (client, given) => {
      client.put(serviceEntryKind, entry("vips", { hosts: ["v.example"], addresses: written(1, 3) }, {}, "honest"));
      client.put(serviceEntryKind, entry("all", { hosts: ["e.example"], addresses: written(4, 14) }, {}, "evil"));
      // An address counts once for each namespace, so these entries add nothing.
      for (let index = 0; index < 9; index += 1)
        client.put(
          serviceEntryKind,
          entry(`v-${index}`, { hosts: ["w.example"], addresses: written(1, 3) }, {}, "honest"),
        );
      const got: string[] = [];
      for (const name of ["one", "two", "three"]) {
        client.put(serviceEntryKind, entry(name, { hosts: [`${name}.example`] }));
        got.push((await given(name, some))?.[0]?.value ?? "");
      }
      assert.deepEqual(got, ["240.240.0.15", "240.240.0.4", "240.240.0.5"]);
    },
    ["240.240.0.0/28"],
  );
});
