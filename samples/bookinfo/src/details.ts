// details: returns the description of a book by its number.
import { sendJson, serve } from "./http-app.ts";

const port = Number(process.argv[2] ?? 9080);

serve("details", port, (_request, response, url) => {
  if (url.pathname === "/health") return sendJson(response, 200, { status: "Details is healthy" });
  const [, id] = /^\/details\/([^/]+)$/.exec(url.pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: "not found" });
  if (!/^-?\d+$/.test(id)) return sendJson(response, 400, { error: "please provide numeric product id" });
  sendJson(response, 200, {
    id: Number(id),
    author: "William Shakespeare",
    year: 1595,
    type: "paperback",
    pages: 200,
    publisher: "PublisherA",
    language: "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
  });
});
