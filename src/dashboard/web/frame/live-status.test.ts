import assert from "node:assert/strict";
import { test } from "node:test";
import { formatClock } from "../format.ts";
import { liveStatus } from "./live-status.ts";

const atMs = Date.parse("2026-06-01T10:20:30Z");
const metrics = { name: "metrics", ok: true, asOfMs: atMs };

test("a page whose server lost the cluster shows since when, instead of live", () => {
  const live = { kind: "live" } as const;
  assert.deepEqual(liveStatus(live, [{ name: "kubernetes", ok: true, asOfMs: atMs }, metrics]), {
    kind: "live",
    text: "live",
  });
  const away = { name: "kubernetes", ok: false, asOfMs: atMs, problem: "the API server does not answer" };
  assert.deepEqual(liveStatus(live, [away, metrics]), {
    kind: "away",
    text: `cluster unreachable since ${formatClock(atMs)}`,
  });
  assert.equal(liveStatus(live, [{ name: "kubernetes", ok: false }]).text, "cluster unreachable");
});

test("a page that lost its own server shows that first", () => {
  const away = { name: "kubernetes", ok: false, asOfMs: atMs, problem: "the API server does not answer" };
  assert.equal(
    liveStatus({ kind: "reconnecting", sinceMs: atMs }, [away]).text,
    `reconnecting since ${formatClock(atMs)}`,
  );
});
