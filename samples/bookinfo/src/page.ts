export interface Details {
  readonly error?: string;
  readonly [field: string]: unknown;
}

export interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
}

export interface Reviews {
  readonly error?: string;
  readonly podname?: string;
  readonly clustername?: string;
  readonly reviews?: readonly Review[];
}

export interface PageContent {
  readonly product: { readonly title: string; readonly descriptionHtml: string };
  readonly details: Details;
  readonly reviews: Reviews;
  readonly detailsStatus: number;
  readonly reviewsStatus: number;
  readonly user: string | undefined;
}

/**
 * Whether to serve the page of 2022 instead of today's. It has the pod on a line of its own, and stars in font
 * elements.
 */
const isOldPage = process.env["BOOKINFO_PAGE"] === "2022";

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#222}
header{display:flex;justify-content:space-between;align-items:center;border-bottom:1px solid #ccc}
main{display:grid;grid-template-columns:1fr 1fr;gap:2rem}blockquote{margin:0 0 1rem;padding-left:1rem;border-left:3px solid #ccc}`;

function layout(body: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simple Bookstore App</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

export function indexPage(): string {
  return layout(`<h1>Hello! This is a simple bookstore application consisting of three services as shown below</h1>
<ul><li>details</li><li>reviews, which asks ratings</li><li>productpage, which asks the others</li></ul>
<p>Click on one of the links below to auto generate a request to the backend as a real user or a tester</p>
<p><a href="/productpage?u=normal">Normal user</a></p>
<p><a href="/productpage?u=test">Test user</a></p>`);
}

export function productPage(content: PageContent): string {
  return layout(`<header><strong>BookInfo Sample</strong>${signIn(content.user)}</header>
<h1>${escapeHtml(content.product.title)}</h1>
<p>Summary: ${content.product.descriptionHtml}</p>
<main>
<section>${detailsSection(content)}</section>
<section>${reviewsSection(content)}</section>
</main>`);
}

function signIn(user: string | undefined): string {
  if (user !== undefined) return `<span>${escapeHtml(user)} (<a href="/logout">sign out</a>)</span>`;
  return '<form method="post" action="/login"><input name="username" placeholder="User Name" aria-label="User Name"><button>Sign in</button></form>';
}

function detailsSection({ details, detailsStatus }: PageContent): string {
  if (detailsStatus !== 200) return `<h4>Error fetching product details!</h4><p>${escapeHtml(details.error)}</p>`;
  const row = (name: string, key: string): string => `<dt>${name}</dt><dd>${escapeHtml(details[key])}</dd>`;
  return `<h4>Book Details</h4>
<dl>${row("ISBN-10", "ISBN-10")}${row("Publisher", "publisher")}${row("Pages", "pages")}${row("Type", "type")}${row("Language", "language")}</dl>`;
}

function reviewsSection({ reviews, reviewsStatus }: PageContent): string {
  if (reviewsStatus !== 200) return `<h4>Error fetching product reviews!</h4><p>${escapeHtml(reviews.error)}</p>`;
  const quotes = (reviews.reviews ?? []).map(
    (review) => `<blockquote><p>${escapeHtml(review.text)}</p>
<small>${escapeHtml(review.reviewer)}</small>
${ratingLine(review.rating)}</blockquote>`,
  );
  const hasCluster = reviews.clustername !== undefined && reviews.clustername !== "null";
  if (isOldPage) return oldReviews(quotes, reviews, hasCluster);
  const cluster = hasCluster ? `\n<dt>Cluster:</dt>\n<dd>${escapeHtml(reviews.clustername)}</dd>` : "";
  return `<h4>Book Reviews</h4>
${quotes.join("\n")}
<dl>
<dt>Reviews served by:</dt>
<dd>${escapeHtml(reviews.podname)}</dd>${cluster}
</dl>`;
}

function oldReviews(quotes: readonly string[], reviews: Reviews, hasCluster: boolean): string {
  const line = (value: unknown): string => `        <u>${escapeHtml(value)}</u>`;
  const cluster = hasCluster ? ["<dt>Cluster:</dt>", line(reviews.clustername)] : [];
  return [
    "<h4>Book Reviews</h4>",
    ...quotes,
    "<dl>",
    "<dt>Reviews served by:</dt>",
    line(reviews.podname),
    ...cluster,
    "</dl>",
  ].join("\n");
}

const fullStars = 5;

function ratingLine(rating: Review["rating"]): string {
  if (rating === undefined) return "";
  const { stars, color } = rating;
  if (stars === undefined) return `<p>${escapeHtml(rating.error)}</p>\n`;
  const full = '<span class="glyphicon glyphicon-star">&#9733;</span>'.repeat(stars);
  const empty = '<span class="glyphicon glyphicon-star-empty">&#9734;</span>'.repeat(Math.max(0, fullStars - stars));
  if (isOldPage) return `<font color="${escapeHtml(color)}">${full}${empty}</font>\n`;
  return `<p class="text-${escapeHtml(color)}-500" style="color:${color === "red" ? "red" : "black"}">${full}${empty}</p>\n`;
}
