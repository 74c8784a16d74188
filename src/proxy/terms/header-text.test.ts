import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import type { HttpFilter } from "../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { mutualTls } from "../testing/filter-request.ts";
import { clientCertificateField } from "../http/messages/client-certificate.ts";
import { headText, utf8HeadText } from "./header-text.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { MessageHead } from "../../wire/http1/index.ts";

/**
 * Texts with characters that would become CR, LF, a quote or NUL if they were cut to their low bytes, and so end a line
 * or a value.
 */
const corpus = [
  "joe\u010d\u010ax-role: admin",
  "\u010a",
  "\u0a0d\u0d0a",
  "a\u0122b",
  "\u0100",
  "é\u010d\u010aé",
  "\u{1f40a}\u{1f60d}",
  "\ud80a",
];

test("no text becomes a control character or quote that it lacks, and characters of one byte stay unchanged", () => {
  const check = (text: string): void => {
    for (const written of [headText(text), utf8HeadText(text)]) {
      const bytes = Buffer.from(written, "latin1");
      assert.equal(bytes.toString("latin1"), written, "a byte a character");
      for (const character of ["\r", "\n", "\0", '"', ","])
        assert.equal(written.split(character).length, text.split(character).length, JSON.stringify(text));
    }
    assert.equal(Buffer.from(utf8HeadText(text), "latin1").toString(), text.toWellFormed());
  };
  for (const text of corpus) check(text);
  fc.assert(fc.property(fc.string({ unit: "binary" }), check), { numRuns: 300 });
  assert.equal(headText("gr\u00f6\u00dfe"), "gr\u00f6\u00dfe");
});

test("a field from a filter or a certificate stays one field, upstream and in the response, whatever characters it has", async () => {
  for (const text of corpus) {
    const setsField: HttpFilter = {
      name: "says",
      onRequest: (request) => {
        request.setHeader("x-user", text);
        request.addResponseHeader("x-told", text);
        return undefined;
      },
    };
    await using harness = await Harness.start({ filters: [setsField], filtersIdle: false });
    let received = "";
    const port = await harness.rawBackend((socket: Socket) => {
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        if (received.endsWith("\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    harness.cluster("c", [port]);
    harness.table = tableOf(route({ ...forwardTo("c") }));
    const client = harness.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const answer = await client.until(/ok$/);
    for (const [head, name] of [
      [received, "x-user"],
      [answer, "x-told"],
    ] as const) {
      assert.ok(!/^x-role/m.test(head), head);
      const line = head.split("\r\n").find((one) => one.startsWith(`${name}: `));
      assert.equal(line, `${name}: ${headText(text)}`);
      assert.ok(!/[^\r]\n/.test(head));
    }
  }
});

test("x-forwarded-client-cert describes a certificate in one element, whatever its names are", () => {
  const config = {
    clientCertificate: "set",
    clientCertificateFields: ["Subject", "URI", "DNS"],
  } as unknown as HttpConnectionConfig;
  const elementOf = (subject: string, uri: string, dns: readonly string[]): string => {
    const field = clientCertificateField(
      config,
      mutualTls(uri, { localIdentity: "", peerSubject: () => subject, peerDnsNames: () => dns }),
      new MessageHead(),
    );
    return typeof field === "string" ? field : field.value;
  };
  // A subject as Node reads it from a certificate, with quotes and similar characters escaped.
  assert.equal(
    elementOf(String.raw`CN=a\"\;URI=spiffe://admin\;X=\"`, "spiffe://a", []),
    String.raw`Subject="CN=a\"\;URI=spiffe://admin\;X=\"";URI=spiffe://a`,
  );
  assert.equal(
    elementOf("CN=a\u010d\u010ax-role: admin", "", []),
    `Subject="CN=a${Buffer.from("\u010d\u010a").toString("latin1")}x-role: admin";URI=`,
  );
  assert.equal(
    elementOf("", "spiffe://a/b,By=c;URI=spiffe://admin", ['d"e', "f\r\nx-role: admin"]),
    String.raw`Subject="";URI="spiffe://a/b,By=c;URI=spiffe://admin";DNS="d\"e";DNS=f%0D%0Ax-role: admin`,
  );
});
