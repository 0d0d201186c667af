// Trades the one-time link, or a token, for a session; neither stays in the address or in the page.
const state = document.getElementById("state");

async function open(body) {
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  state.textContent = answer.ok ? "You are signed in for a day. " : (await answer.json()).error.message;
  if (answer.ok) {
    const link = document.createElement("a");
    link.href = "/docs";
    link.textContent = "What it can do";
    state.append(link);
    document.getElementById("sign-in").remove();
  }
}

const link = location.hash.slice(1);
if (link) {
  history.replaceState(null, "", "/");
  open({ link });
}
document.getElementById("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  open({ token: new FormData(event.target).get("token") });
});
