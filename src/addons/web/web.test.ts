import assert from "node:assert/strict";
import { test } from "node:test";
import { Html, html, listenAddress, page, readFlags, table } from "./index.ts";

test("text in a page is escaped, unless it is HTML", () => {
  assert.equal(
    html`<a title="${'"&'}">${"<b>"}${new Html("<i>")}${["<", html`<p>`]}${undefined}</a>`.text,
    '<a title="&quot;&amp;">&lt;b&gt;<i>&lt;<p></a>',
  );
  assert.match(
    page({
      title: "<x>",
      lead: "",
      links: [],
      body: table([{ title: "A", cell: (row: string) => row }], ["<script>"]),
    }),
    /<title>&lt;x&gt;<\/title>[\s\S]*<td class="">&lt;script&gt;<\/td>/,
  );
});

test("flags are parsed as Go programs parse them", () => {
  const flags = readFlags(["--a=1", "-b", "2", "--c", "--d=x=y", "word", "--a=3"]);
  assert.deepEqual(Object.fromEntries(flags), { a: "3", b: "2", c: "true", d: "x=y" });
  assert.deepEqual(listenAddress("f", "0.0.0.0:80"), { host: "", port: 80 });
  assert.deepEqual(listenAddress("f", "[::1]:80"), { host: "::1", port: 80 });
  for (const wrong of ["80", "a:0", "a:b"]) assert.throws(() => listenAddress("f", wrong), /--f: expected host:port/);
});
