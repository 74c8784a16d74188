import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { DiscoveredFilter } from "./discovered-filter.ts";
import type { FilterRequest, HttpFilter } from "./http-filter.ts";

const request = (): FilterRequest => ({}) as FilterRequest;
const signal = (): AbortSignal => new AbortController().signal;

/** Makes a filter from the text of its configuration. The filter starts when the test lets it start. */
function harness() {
  const starts = new Map<string, () => void>();
  const streams: string[] = [];
  const requests: string[] = [];
  const filter = new DiscoveredFilter({
    name: "f",
    fallback: undefined,
    waitMs: Infinity,
    clock: { steadyMs: () => 0 },
    compile: ({ typeUrl }: Any): HttpFilter => {
      let starting: Promise<unknown> | undefined = new Promise<void>((resolve) => starts.set(typeUrl, resolve)).then(
        () => (starting = undefined),
      );
      return {
        name: "f",
        starting: () => starting,
        onRequest: () => void requests.push(typeUrl),
        stream: () => {
          streams.push(typeUrl);
          return undefined;
        },
      };
    },
  });
  const put = (typeUrl: string) => filter.prepare(create(AnySchema, { typeUrl }))();
  return { filter, put, starts, requests, streams };
}

test("a listener waits for the first configuration and its start, and a later one serves only when it has started", async () => {
  const { filter, put, starts, requests } = harness();
  assert.equal(filter.awaited, true);
  const first = put("one");
  assert.deepEqual([filter.awaited, filter.starting() !== undefined], [false, true]);
  starts.get("one")?.();
  await first;
  const second = put("two");
  filter.onRequest(request(), signal);
  const third = put("three");
  starts.get("two")?.();
  await second;
  filter.onRequest(request(), signal);
  starts.get("three")?.();
  await third;
  filter.onRequest(request(), signal);
  assert.deepEqual(requests, ["one", "one", "three"], "the second one was overtaken");
});

test("the filter that took a request's head gets the rest of the exchange after a change", async () => {
  const { filter, put, starts, streams } = harness();
  const first = put("one");
  starts.get("one")?.();
  await first;
  const [old, fresh] = [request(), request()];
  filter.onRequest(old, signal);
  const second = put("two");
  starts.get("two")?.();
  await second;
  filter.onRequest(fresh, signal);
  filter.stream(old, signal);
  filter.stream(fresh, signal);
  assert.deepEqual(streams, ["one", "two"]);
});
