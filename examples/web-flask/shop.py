"""The shop: price lists are uploaded, a batch job works on each, the result is fetched."""

import os
from functools import wraps
from io import BytesIO

from flask import (
    Flask,
    abort,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    url_for,
)
from shop_jobs import PriceListJob
from werkzeug.security import check_password_hash, generate_password_hash

from rocketjob import NotFound
from rocketjob_contrib.flask import RocketJob
from rocketjob_contrib.mission_control import Identity, WebSettings
from rocketjob_contrib.mission_control.hosts.flask import blueprint
from rocketjob_plugins.batch.streams import StreamError

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ.get("SHOP_SECRET", "only good for trying it out on one machine"),
    SESSION_COOKIE_SAMESITE="Lax",  # no other site has a browser post here as somebody
    MAX_CONTENT_LENGTH=100_000_000,
    ROCKETJOB={"url": os.environ.get("SHOP_JOBS", "sqlite:///rocketjob.db")},
)
RocketJob(app)
PASSWORD = generate_password_hash(os.environ["SHOP_PASSWORD"])
USERS = {"ada": "admin", "joe": "user"}  # with their roles; yours are in a database


# --- Mission Control, behind the login -------------------------------------------------------


def who(request):
    """Say who asks, and what they may do; whoever is not signed in goes to the login."""
    user = session.get("user")
    return Identity(user, {USERS[user]}) if user in USERS else redirect(url_for("login"))


web = WebSettings(authorize=who, secret=app.config["SECRET_KEY"], title="Shop")
app.register_blueprint(blueprint(web), url_prefix="/rocketjob")


# --- price lists -----------------------------------------------------------------------------


def signed_in(view):
    @wraps(view)
    def guarded(**arguments):
        return view(**arguments) if session.get("user") in USERS else redirect(url_for("login"))

    return guarded


@app.get("/")
@signed_in
def lists(problem=None):
    jobs = PriceListJob.where(login=session["user"]).order_by("-created_at").limit(50)
    return render_template_string(LISTS, jobs=jobs, problem=problem)


@app.post("/")
@signed_in
def upload():
    """Store what was uploaded as the slices of a job, and then the job: it begins at once."""
    file = request.files.get("list")
    if file is None or not file.filename:
        return lists(problem="Choose a file."), 422
    job = PriceListJob(login=session["user"], description=file.filename)
    try:
        job.upload(file.stream, file_name=file.filename)
    except StreamError as error:  # which names the line; nothing is left of the file
        return lists(problem=str(error)), 422
    job.save()
    return redirect(url_for("lists"))


@app.get("/results/<id>.csv")
@signed_in
def result(id):
    try:
        job = PriceListJob.find(id)
    except NotFound:
        abort(404)
    if job.login != session["user"] or not job.is_completed:
        abort(404)
    content = BytesIO()
    job.download(content)
    content.seek(0)
    return send_file(content, "text/csv", as_attachment=True, download_name="gross.csv")


LISTS = """<!doctype html>
<html lang="en">
<title>Price lists</title>
<h1>Price lists</h1>
{% if problem %}<p role="alert">{{ problem }}</p>{% endif %}
<form method="post" enctype="multipart/form-data">
  <label>CSV with the columns article and price <input type="file" name="list"></label>
  <button>Upload</button>
</form>
<ul>
  {% for job in jobs %}
  <li>{{ job.description }}:
    {% if job.is_completed %}<a href="{{ url_for('result', id=job.id) }}">with tax</a>
    {% else %}{{ job.state }}{% endif %}</li>
  {% endfor %}
</ul>
<p><a href="/rocketjob/">Jobs</a></p>
<form method="post" action="{{ url_for('logout') }}"><button>Sign out</button></form>
</html>"""


# --- the login -------------------------------------------------------------------------------


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return LOGIN
    user = request.form.get("username", "")
    is_right = check_password_hash(PASSWORD, request.form.get("password", ""))
    if user not in USERS or not is_right:
        return LOGIN, 403
    session.clear()
    session["user"] = user
    return redirect(url_for("lists"))


@app.post("/logout")
def logout():
    session.clear()
    return redirect(url_for("login"))


LOGIN = """<!doctype html>
<html lang="en">
<title>Sign in</title>
<h1>Sign in</h1>
<form method="post">
  <label>Name <input name="username"></label>
  <label>Password <input name="password" type="password"></label>
  <button>Sign in</button>
</form>
</html>"""
