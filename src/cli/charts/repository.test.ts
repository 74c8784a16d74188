import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { parse } from "yaml";
import { repositoryOf } from "./repository.ts";

test("a repository's index names each archive by its digest, and an archive is a tar of the chart's folder", () => {
  const chart = {
    name: "base",
    version: "1.0.0",
    appVersion: "1.0.0",
    description: "x",
    files: new Map([
      ["Chart.yaml", "name: base\n"],
      ["templates/a.yaml", "é".repeat(400)],
    ]),
  };
  const files = repositoryOf([chart], "2026-01-01T00:00:00Z");
  const archive = files.get("base-1.0.0.tgz");
  assert.ok(archive);
  const { entries } = parse(files.get("index.yaml")?.toString() ?? "") as {
    entries: { base: { digest: string; urls: string[] }[] };
  };
  assert.deepEqual(
    entries.base.map(({ digest, urls }) => [digest, urls]),
    [[createHash("sha256").update(archive).digest("hex"), ["base-1.0.0.tgz"]]],
  );
  const tar = gunzipSync(archive);
  assert.equal(tar.length % 512, 0);
  const names: string[] = [];
  for (let at = 0; tar[at] !== 0;) {
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
    const header = Buffer.from(tar.subarray(at, at + 512));
    const sum = Number.parseInt(header.toString("latin1", 148, 154), 8);
    header.fill(" ", 148, 156);
    assert.equal(
      header.reduce((total, byte) => total + byte, 0),
      sum,
    );
    assert.equal(header.toString("latin1", 257, 265), "ustar\u000000");
    names.push(`${header.toString("latin1", 0, 100).replace(/\0.*/s, "")} ${size}`);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  assert.deepEqual(names, ["base/Chart.yaml 11", "base/templates/a.yaml 800"]);
});
