import { createWriteStream, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { printError } from "./print.ts";
import { readWords, UsageError, type Words } from "./options.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { request: httpRequest } = process.getBuiltinModule("node:http");

const maxRedirects = 5;
const defaultTimeoutSeconds = 900;

/** `wget [-q] [-S] [-O FILE] [-P DIR] [-T SEC] [-U AGENT] [--spider] [--header H] [--post-data D] URL…`. */
export async function wget(words: readonly string[]): Promise<number> {
  const options = readWords(words, {
    flags: ["c", "nv", "q", "S", "quiet", "server-response", "spider", "no-check-certificate", "no-verbose"],
    valued: ["header", "O", "output-document", "P", "post-data", "post-file", "t", "T", "timeout", "tries", "U", "Y"],
  });
  if (options.rest.length === 0) throw new UsageError("wget takes a URL at least");
  for (const url of options.rest) {
    try {
      await fetchOne(new URL(/^https?:\/\//.test(url) ? url : `http://${url}`), options);
    } catch (error) {
      printError(`wget: ${(error as Error).message}`);
      return 1;
    }
  }
  return 0;
}

async function fetchOne(first: URL, options: Words): Promise<void> {
  const last = (...names: string[]): string | undefined =>
    names.flatMap((name) => options.values.get(name) ?? []).at(-1);
  const isQuiet = options.flags.has("q") || options.flags.has("quiet");
  let url = first;
  for (let hops = 0; hops <= maxRedirects; hops += 1) {
    const response = await send(url, options, Number(last("T", "timeout") ?? defaultTimeoutSeconds) * 1_000);
    const { statusCode = 0, statusMessage = "", headers } = response;
    if (options.flags.has("S") || options.flags.has("server-response")) printHead(response);
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      response.resume();
      url = new URL(headers.location, url);
      continue;
    }
    if (statusCode >= 400) {
      response.destroy();
      throw new Error(`server returned error: HTTP/${response.httpVersion} ${statusCode} ${statusMessage}`);
    }
    if (options.flags.has("spider")) {
      response.destroy();
      if (!isQuiet) printError("remote file exists");
      return;
    }
    const name = basename(url.pathname);
    const file = last("O", "output-document") ?? join(last("P") ?? ".", name === "" ? "index.html" : name);
    if (file === "-") await pipeline(response, process.stdout, { end: false });
    else await pipeline(response, createWriteStream(file));
    if (!isQuiet) printError(file === "-" ? "written to stdout" : `'${file}' saved`);
    return;
  }
  throw new Error("too many redirections");
}

async function send(url: URL, { flags, values }: Words, timeoutMs: number): Promise<IncomingMessage> {
  const file = values.get("post-file")?.at(-1);
  const body = file === undefined ? values.get("post-data")?.at(-1) : readFileSync(file);
  const headers: Record<string, string> = { "user-agent": values.get("U")?.at(-1) ?? "Wget", connection: "close" };
  if (body !== undefined) headers["content-type"] = "application/x-www-form-urlencoded";
  for (const header of values.get("header") ?? []) {
    const [name = "", ...value] = header.split(":");
    headers[name.trim().toLowerCase()] = value.join(":").trim();
  }
  return await new Promise((resolve, reject) => {
    const shared = {
      method: flags.has("spider") ? "HEAD" : body === undefined ? "GET" : "POST",
      headers,
      agent: false,
    };
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { ...shared, rejectUnauthorized: !flags.has("no-check-certificate") })
        : httpRequest(url, shared);
    request.setTimeout(timeoutMs, () => request.destroy(new Error("download timed out")));
    request.once("response", resolve);
    request.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOTFOUND" || error.code === "EAI_AGAIN"
          ? new Error(`bad address '${url.host}'`)
          : error.code === undefined
            ? error
            : new Error(`can't connect to remote host (${url.host}): ${error.message}`),
      ),
    );
    request.end(body);
  });
}

function printHead({ httpVersion, statusCode = 0, statusMessage = "", rawHeaders }: IncomingMessage): void {
  printError(`  HTTP/${httpVersion} ${statusCode} ${statusMessage}`);
  for (let index = 0; index < rawHeaders.length; index += 2)
    printError(`  ${rawHeaders[index] ?? ""}: ${rawHeaders[index + 1] ?? ""}`);
}
