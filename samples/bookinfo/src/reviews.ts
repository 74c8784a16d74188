// reviews: two opinions. v1 has no stars, v2 black ones, and v3 red ones (ENABLE_RATINGS, STAR_COLOR).
import { hostname } from "node:os";
import { getJson, headersToForward, sendJson, serve } from "./http-app.ts";

const port = Number(process.argv[2] ?? 9080);
const ratingsEnabled = process.env["ENABLE_RATINGS"] === "true";
const starColor = process.env["STAR_COLOR"] ?? "black";
const ratingsHost = process.env["RATINGS_HOSTNAME"] ?? "ratings";
const ratingsPort = process.env["RATINGS_SERVICE_PORT_NUMBER"] ?? "9080";
const podName = process.env["HOSTNAME"] ?? hostname();
const clusterName = process.env["CLUSTER_NAME"] ?? "null";
const ratingsTimeoutMs = starColor === "black" ? 10_000 : 2500;

const texts = {
  Reviewer1: "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
  Reviewer2:
    "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.",
} as const;

type Reviewer = keyof typeof texts;

serve("reviews", port, async (request, response, url) => {
  if (url.pathname === "/health") return sendJson(response, 200, { status: "Reviews is healthy" });
  const [, id] = /^\/reviews\/([^/]+)$/.exec(url.pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: "not found" });
  const stars = ratingsEnabled ? await starsOf(id, headersToForward(request.headers)) : undefined;
  const reviews = (Object.keys(texts) as Reviewer[]).map((reviewer) => ({
    reviewer,
    text: texts[reviewer],
    ...(ratingsEnabled ? { rating: ratingOf(stars?.[reviewer]) } : {}),
  }));
  sendJson(response, 200, { id, podname: podName, clustername: clusterName, reviews });
});

function ratingOf(stars: number | undefined): object {
  return stars === undefined ? { error: "Ratings service is currently unavailable" } : { stars, color: starColor };
}

async function starsOf(
  id: string,
  headers: Record<string, string>,
): Promise<Partial<Record<Reviewer, number>> | undefined> {
  try {
    const { status, body } = await getJson(
      `http://${ratingsHost}:${ratingsPort}/ratings/${id}`,
      headers,
      ratingsTimeoutMs,
    );
    return status === 200 ? (body as { ratings: Partial<Record<Reviewer, number>> }).ratings : undefined;
  } catch {
    return undefined;
  }
}
