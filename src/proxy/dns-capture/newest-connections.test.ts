import assert from "node:assert/strict";
import { test } from "node:test";
import { NewestConnections } from "./newest-connections.ts";

function server(max: number) {
  const connections = new NewestConnections(max);
  const ended: string[] = [];
  const places = new Map<string, Disposable>();
  // As on a real stream, the end of a connection gives its place back, whatever the reason.
  const end = (name: string): void => places.get(name)?.[Symbol.dispose]();
  const connect = (name: string): void => {
    const destroy = (): void => {
      ended.push(name);
      end(name);
    };
    places.set(name, connections.admit({ destroy }));
  };
  return { connect, end, ended };
}

test("when the pod has too many connections, the oldest one ends for the newcomer", () => {
  const { connect, ended } = server(2);
  for (const name of ["a", "b", "c", "d"]) connect(name);
  assert.deepEqual(ended, ["a", "b"]);
});

test("a connection that has ended frees exactly one place, even if it ends twice", () => {
  const { connect, end, ended } = server(2);
  connect("a");
  connect("b");
  end("a");
  end("a");
  connect("c");
  assert.deepEqual(ended, []);
  connect("d");
  assert.deepEqual(ended, ["b"]);
});
