import { transientError } from "../../base/index.ts";

const maxBytes = 1 << 20;

/** Fetches a text of at most a megabyte over HTTP or HTTPS. HTTPS uses the roots of the operating system. */
export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: "follow" });
  if (!response.ok) throw transientError("http-status", `${url} answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw transientError("answer-too-long", `${url} answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
