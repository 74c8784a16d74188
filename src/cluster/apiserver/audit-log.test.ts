import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { AccessAttributes } from "../auth/index.ts";
import { AuditLog } from "./audit-log.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-audit-"));
after(() => rmSync(directory, { recursive: true }));

const get: AccessAttributes = { verb: "get", group: "", resource: "", subresource: "", namespace: "", name: "" };

test("a user who invents paths and names keeps no other requests out of the audit log", () => {
  const path = join(directory, "audit.log");
  const log = new AuditLog(path, systemClock, silentLogger);
  const anonymous = { name: "system:anonymous", groups: ["system:unauthenticated"] };
  const jane = { name: "jane", groups: [] };
  for (let index = 0; index < 1000; index += 1)
    log.record(anonymous, { ...get, path: `/${index}${"x".repeat(10_000)}` }, { allowed: false, reason: "" });
  for (let index = 0; index < 5000; index += 1)
    log.record(jane, { ...get, resource: `r${index}` }, { allowed: true, reason: "" });
  log.record(anonymous, { ...get, path: "/version" }, { allowed: true, reason: "" });
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const of = (name: string): number => lines.filter((line) => line.includes(`"username":"${name}"`)).length;
  assert.deepEqual([of("system:anonymous"), of("jane")], [501, 4000]);
  assert.ok(lines.every((line) => line.length < 1000));
  assert.match(lines.at(-1) ?? "", /"requestURI":"\/version"/);
});

test("many users of one client leave room in the audit log for others", () => {
  const path = join(directory, "many.log");
  const log = new AuditLog(path, systemClock, silentLogger);
  for (let user = 0; user < 8; user += 1)
    for (let index = 0; index < 4000; index += 1)
      log.record({ name: `u${user}`, groups: [] }, { ...get, resource: `r${index}` }, { allowed: true, reason: "" });
  log.record({ name: "jane", groups: [] }, get, { allowed: true, reason: "" });
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  assert.equal(lines.length, 4 * 4000 + 2000 + 1000 + 500 + 250 + 1);
  assert.match(lines.at(-1) ?? "", /"username":"jane"/);
});
