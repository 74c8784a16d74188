import assert from "node:assert/strict";
import { test } from "node:test";
import { filterCount, graphState, nextMoment, toggled } from "./graph-state.ts";

test("a link without parameters is the graph of versions with rates and without filters", () => {
  const state = graphState({});
  assert.deepEqual(
    [state.by, state.label, state.mode, state.selected, filterCount(state.filters)],
    ["versionedApp", "rate", undefined, "", 0],
  );
});

test("a link's filters are read, and unknown ones are ignored", () => {
  const state = graphState({
    by: "service",
    label: "p99",
    protocol: "http,grpc",
    health: "failing,purple",
    idle: "hide",
    min: "0.5",
    as: "table",
    q: "cart",
    sel: "shop/cart",
  });
  assert.deepEqual(
    [state.by, state.label, state.mode, state.search, state.selected],
    ["service", "p99", "table", "cart", "shop/cart"],
  );
  assert.deepEqual(
    [[...state.filters.protocols], [...state.filters.health], state.filters.hideIdle, state.filters.minimumRate],
    [["http", "grpc"], ["failing"], true, 0.5],
  );
  assert.equal(filterCount(state.filters), 5);
  const odd = graphState({ by: "moon", label: "x", min: "-3", as: "list" });
  assert.deepEqual([odd.by, odd.label, odd.filters.minimumRate, odd.mode], ["versionedApp", "rate", 0, undefined]);
});

test("a member of a set is toggled", () => {
  assert.equal(toggled(new Set(["http"]), "grpc"), "grpc,http");
  assert.equal(toggled(new Set(["http", "grpc"]), "http"), "grpc");
});

test("playback ends at the present", () => {
  assert.equal(nextMoment(1_000, 500, 10_000), 1_500);
  assert.equal(nextMoment(9_400, 500, 10_000), 0);
});
