import assert from "node:assert/strict";
import { test } from "node:test";
import { isNewerRelease, releaseOfImage } from "./release-version.ts";

test("releases have an order by their numbers, after their prereleases", () => {
  const ascending = [
    "0.2-dev",
    "0.2.0-dev.3",
    "0.2.0-alpha.2",
    "0.2.0-alpha.10",
    "0.2.0-beta1",
    "0.2.0-rc",
    "v0.2.0-rc.1",
    "0.2.0",
    "v0.2.9",
    "0.2.10",
    "0.10",
    "1.0.0-rc.1-distroless",
    "1.0.0-debug",
  ];
  for (const [at, release] of ascending.entries())
    for (const [other, than] of ascending.entries())
      assert.equal(isNewerRelease(release, than), at > other, `${release} and ${than}`);
});

test("variants of an image are of the same release", () => {
  for (const variant of ["0.2.0-distroless", "0.2.0-debug", "v0.2.0"]) {
    assert.equal(isNewerRelease("0.2.0", variant), false, variant);
    assert.equal(isNewerRelease(variant, "0.2.0"), false, variant);
  }
});

test("names that are neither releases nor prereleases are neither newer nor older", () => {
  for (const name of ["latest", "0.2.0-5-gabc", "0.1.0-5-gabc", "0.3.0-mine", "0.2.0-alpha.5ab", "0.2.0+1", "0", ""]) {
    assert.equal(isNewerRelease("0.2.0", name), false, name);
    assert.equal(isNewerRelease(name, "0.2.0"), false, name);
  }
});

test("the release of an image is its tag without the variant", () => {
  assert.equal(releaseOfImage("hub:5000/pilot:1.3.0-distroless"), "1.3.0");
  assert.equal(releaseOfImage("hub/pilot:1.3.0-rc.1-debug"), "1.3.0-rc.1");
  assert.equal(releaseOfImage("hub:5000/pilot"), undefined);
});

test("a digest behind the tag changes neither the release nor the order", () => {
  const digest = `@sha256:${"0a".repeat(32)}`;
  assert.equal(releaseOfImage(`hub:5000/pilot:1.3.0-distroless${digest}`), "1.3.0");
  assert.equal(releaseOfImage(`hub:5000/pilot${digest}`), undefined);
  assert.equal(isNewerRelease(`1.3.0${digest}`, "1.2.0"), true);
  assert.equal(isNewerRelease("1.3.0", `1.2.0-debug${digest}`), true);
  assert.equal(isNewerRelease(`1.3.0${digest}`, "1.3.0"), false);
});
