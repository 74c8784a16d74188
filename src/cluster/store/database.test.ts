import assert from "node:assert/strict";
import { test } from "node:test";
import { batchWriter, openDatabase, readContent, type WriteBatch } from "./database.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const batch = (revision: number, more: Partial<WriteBatch>): WriteBatch => ({
  revision,
  puts: [],
  removals: [],
  collections: [],
  ...more,
});

test("a database without content has no version, no collections and no rows", () => {
  using database = openDatabase(":memory:");
  const { revision, collections, rows } = readContent(database);
  assert.deepEqual([revision, [...collections], [...rows]], [0, [], []]);
});

test("batches leave the last state of each row, the version of each collection and the newest version of all", () => {
  using database = openDatabase(":memory:");
  const write = batchWriter(database);
  write(
    batch(2, {
      puts: [
        { row: "/configmaps|a/x", revision: 1, bytes: bytes("x1") },
        { row: "/secrets|a/y", revision: 2, bytes: bytes("y2") },
      ],
      collections: [
        { name: "/configmaps", revision: 1 },
        { name: "/secrets", revision: 2 },
      ],
    }),
  );
  write(
    batch(4, {
      puts: [{ row: "/configmaps|a/x", revision: 3, bytes: bytes("x3") }],
      removals: ["/secrets|a/y", "/secrets|a/unknown"],
      collections: [
        { name: "/configmaps", revision: 3 },
        { name: "/secrets", revision: 4 },
      ],
    }),
  );
  const { revision, collections, rows } = readContent(database);
  assert.equal(revision, 4);
  assert.deepEqual(Object.fromEntries(collections), { "/configmaps": 3, "/secrets": 4 });
  assert.deepEqual(
    [...rows].map((row) => [row.row, row.revision, Buffer.from(row.bytes).toString()]),
    [["/configmaps|a/x", 3, "x3"]],
  );
});

test("a batch of which one row is refused leaves nothing, and the next batch is written", () => {
  using database = openDatabase(":memory:");
  const write = batchWriter(database);
  write(batch(1, { puts: [{ row: "kept", revision: 1, bytes: bytes("1") }] }));
  const refused = { row: "refused", revision: 3, bytes: null as unknown as Uint8Array };
  assert.throws(
    () => write(batch(3, { removals: ["kept"], puts: [{ row: "lost", revision: 2, bytes: bytes("2") }, refused] })),
    /NOT NULL/,
  );
  write(batch(4, { puts: [{ row: "next", revision: 4, bytes: bytes("4") }] }));
  const { revision, rows } = readContent(database);
  assert.deepEqual([revision, [...rows].map(({ row }) => row)], [4, ["kept", "next"]]);
});
