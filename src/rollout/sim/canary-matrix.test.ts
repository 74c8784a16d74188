import assert from "node:assert/strict";
import { test } from "node:test";
import { canaryMatrix, canaryTitle, simulateCanary } from "./canary-matrix.ts";
import { canaryTargets, routeKindsOf, stepKinds, type SimCanary } from "./canary-shape.ts";

const cells = canaryMatrix();
const has = (title: string, isIt: (cell: SimCanary) => boolean): void => assert.ok(cells.some(isIt), title);

test("the matrix has every target with every kind of route that it can have, alone and after another rule", () => {
  for (const target of canaryTargets)
    for (const routes of routeKindsOf(target))
      for (const second of [true, false])
        has(
          `${target} ${routes} second ${second}`,
          (cell) => cell.target === target && cell.routes === routes && cell.second === second,
        );
});

test("the matrix has every list of a VirtualService by hosts and by subsets, and canaries of other namespaces", () => {
  for (const protocol of ["http", "tcp", "tls"])
    for (const by of ["hosts", "subsets"])
      has(
        `${protocol} ${by}`,
        (cell) => cell.target === "virtualService" && cell.protocol === protocol && cell.by === by,
      );
  for (const target of ["httpRoute", "grpcRoute"])
    has(`${target} elsewhere`, (cell) => cell.target === target && cell.elsewhere);
});

test("the matrix has Deployments with both kinds of routes and with all that may surround them", () => {
  for (const routes of routeKindsOf("deployment"))
    for (const around of ["rule", "autoscaled", "dynamic", "delayed", "onePort", "tcpPort"] as const)
      has(`${routes} ${around}`, (cell) => cell.target === "deployment" && cell.routes === routes && cell[around]);
});

test("the matrix has every kind of first step with every target that can have it, and cookies with every kind of HTTP route", () => {
  const http = ["httpRoute", "virtualService", "services", "namespaces", "deployment"] as const;
  for (const kind of stepKinds)
    for (const target of kind === "match" || kind === "mirror" || kind === "iterations" ? http : ["deployment"])
      has(`${target} first ${kind}`, (cell) => cell.target === target && cell.first === kind);
  for (const kind of ["match", "mirror", "iterations"])
    has(`grpcRoute first ${kind}`, (cell) => cell.target === "grpcRoute" && cell.first === kind);
  for (const protocol of ["tcp", "tls"])
    has(`${protocol} first iterations`, (cell) => cell.protocol === protocol && cell.first === "iterations");
  for (const target of http) has(`${target} affinity`, (cell) => cell.target === target && cell.affinity);
  assert.equal(new Set(cells.map((cell) => `${canaryTitle(cell)} ${cell.replicas}`)).size, cells.length);
});

/**
 * The positions of the Canaries to test: almost all code that the whole matrix reaches, in a fraction of the time. `npm
 * run sim -- --matrix` tests all of them.
 */
const tested = [0, 11, 12, 16, 31, 32, 38, 40, 49, 51, 56, 59, 83, 91, 100, 118, 125, 138];

test("Canaries of the matrix complete, and roll back from a step, from the end and from a bad version, and every request reaches a pod", () => {
  assert.ok(
    tested.every((index) => index in cells),
    "a number without a Canary",
  );
  const failures = cells.flatMap((cell, index) =>
    tested.includes(index) ? simulateCanary(cell, (step) => step % 4 === index % 4).failures : [],
  );
  assert.deepEqual(failures, []);
});
