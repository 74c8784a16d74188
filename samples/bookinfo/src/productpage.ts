// productpage: the page, made from details and reviews, its API, and a login that only remembers a name.
import { getJson, headersToForward, readBody, sendJson, sendText, serve, type FetchedJson } from "./http-app.ts";
import { indexPage, productPage, type Details, type Reviews } from "./page.ts";

const port = Number(process.argv[2] ?? 9080);
const servicePort = 9080;
const timeoutMs = 3000;
const hosts = {
  details: process.env["DETAILS_HOSTNAME"] ?? "details",
  ratings: process.env["RATINGS_HOSTNAME"] ?? "ratings",
  reviews: process.env["REVIEWS_HOSTNAME"] ?? "reviews",
} as const;

const products = [
  {
    id: 0,
    title: "The Comedy of Errors",
    descriptionHtml:
      '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: The Comedy of Errors is one of <b>William Shakespeare\'s</b> early plays.',
  },
] as const;

const unavailable = {
  details: "Sorry, product details are currently unavailable for this book.",
  reviews: "Sorry, product reviews are currently unavailable for this book.",
  ratings: "Sorry, product ratings are currently unavailable for this book.",
} as const;

type Part = keyof typeof unavailable;

/**
 * Returns the response of a part, or its error status (500 without a response) with an apology. Requests reviews up to
 * two times.
 */
async function part(name: Part, id: string, headers: Record<string, string>): Promise<FetchedJson> {
  const attempts = name === "reviews" ? 2 : 1;
  let status = 500;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    try {
      const answer = await getJson(`http://${hosts[name]}:${servicePort}/${name}/${id}`, headers, timeoutMs);
      if (answer.status === 200) return answer;
      status = answer.status;
    } catch {
      status = 500;
    }
  }
  return { status, body: { error: unavailable[name] } };
}

function sessionUser(cookie: string | undefined): string | undefined {
  const [, value] = /(?:^|;\s*)session=([^;]*)/.exec(cookie ?? "") ?? [];
  return value === undefined || value === "" ? undefined : decodeURIComponent(value);
}

serve("productpage", port, async (request, response, url) => {
  const user = sessionUser(request.headers.cookie);
  const headers = { ...headersToForward(request.headers), ...(user === undefined ? {} : { "end-user": user }) };
  const back = request.headers.referer ?? "/productpage";
  switch (url.pathname) {
    case "/":
    case "/index.html":
      return sendText(response, 200, "text/html; charset=utf-8", indexPage());
    case "/health":
      return sendText(response, 200, "text/plain", "Product page is healthy");
    case "/login": {
      if (request.method !== "POST") return sendJson(response, 405, { error: "POST a form with a username" });
      const name = new URLSearchParams(await readBody(request)).get("username") ?? "";
      response
        .writeHead(302, { location: back, "set-cookie": `session=${encodeURIComponent(name)}; Path=/; HttpOnly` })
        .end();
      return;
    }
    case "/logout":
      response.writeHead(302, { location: back, "set-cookie": "session=; Path=/; Max-Age=0" }).end();
      return;
    case "/productpage": {
      const [details, reviews] = await Promise.all([part("details", "0", headers), part("reviews", "0", headers)]);
      const page = productPage({
        product: products[0],
        details: details.body as Details,
        reviews: reviews.body as Reviews,
        detailsStatus: details.status,
        reviewsStatus: reviews.status,
        user,
      });
      return sendText(response, 200, "text/html; charset=utf-8", page);
    }
    case "/api/v1/products":
      return sendJson(response, 200, products);
    default:
      break;
  }
  const [, id, sub] = /^\/api\/v1\/products\/([^/]+)(?:\/(reviews|ratings))?$/.exec(url.pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: "not found" });
  const answer = await part(sub === "reviews" || sub === "ratings" ? sub : "details", id, headers);
  sendJson(response, answer.status, answer.body);
});
