// ratings: stars by reviewer. A POST replaces the stars of one book in memory.
import { readBody, sendJson, serve } from "./http-app.ts";

const port = Number(process.argv[2] ?? 9080);
const rememberedBooks = 1000;
const posted = new Map<number, unknown>();

serve("ratings", port, async (request, response, url) => {
  if (url.pathname === "/health") return sendJson(response, 200, { status: "Ratings is healthy" });
  const [, text] = /^\/ratings\/([^/]*)$/.exec(url.pathname) ?? [];
  if (text === undefined) return sendJson(response, 404, { error: "not found" });
  const id = Number.parseInt(text, 10);
  if (Number.isNaN(id)) return sendJson(response, 400, { error: "please provide numeric product ID" });
  if (request.method === "POST") {
    let ratings: unknown;
    try {
      ratings = JSON.parse(await readBody(request));
    } catch {
      return sendJson(response, 400, { error: "please provide valid ratings JSON" });
    }
    if (posted.size < rememberedBooks || posted.has(id)) posted.set(id, ratings);
    return sendJson(response, 200, { id, ratings });
  }
  sendJson(response, 200, { id, ratings: posted.get(id) ?? { Reviewer1: 5, Reviewer2: 4 } });
});
