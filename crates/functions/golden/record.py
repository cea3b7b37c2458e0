"""record.py in.sql out.tsv : one expression a line."""
import sys, json, re
from pyspark.sql import SparkSession
def cls(e):
    try:
        c=e.getCondition() if hasattr(e,'getCondition') else e.getErrorClass()
        if c: return c
    except Exception: pass
    m=re.search(r'\[([A-Z_0-9]+(\.[A-Z_0-9]+)?)\]',str(e))
    if m: return m.group(1)
    return "?"+type(e).__name__+":"+str(e).split('\n')[0][:150]
def params(e):
    try:
        p=e.getMessageParameters()
        return " "+json.dumps(dict(p),ensure_ascii=False,sort_keys=True) if p else ""
    except Exception: return ""
s=SparkSession.builder.master("local[1]").config("spark.ui.enabled","false").config("spark.sql.session.timeZone","America/Los_Angeles").config("spark.sql.codegen.wholeStage","false").config("spark.sql.codegen.factoryMode","NO_CODEGEN").config("spark.sql.timeType.enabled","true").getOrCreate()
s.sparkContext.setLogLevel("OFF")
def esc(v):
    return v.replace("\\","\\\\").replace("\t","\\t").replace("\n","\\n").replace("\r","\\r")
def ask(e):
    try:
        df=s.sql("SELECT "+e)
        f=df.schema.fields[0]
    except Exception as x:
        return "!"+cls(x)+params(x)
    head=f"{f.name}\t{f.dataType.simpleString()}\t{'null' if f.nullable else 'notnull'}"
    try:
        t=f.dataType.simpleString()
        body, tail = e, ""
        m=re.match(r"(.*) (FROM VALUES .*)$", e, re.S)
        if m: body, tail = m.group(1), " "+m.group(2)
        if t=="binary": q=f"SELECT hex({body}){tail}"
        elif t=="variant": q=f"SELECT to_json({body}){tail}"
        else: q=f"SELECT CAST({body} AS STRING){tail}"
        v=" | ".join("NULL" if r[0] is None else "="+str(r[0]) for r in s.sql(q).collect())
    except Exception as x:
        v="!"+cls(x)+params(x)
    return head+"\t"+v
out=open(sys.argv[2],"w")
for line in open(sys.argv[1]):
    line=line.rstrip("\n")
    if not line.strip() or line.startswith("--"): continue
    for ansi in ("true","false"):
        s.conf.set("spark.sql.ansi.enabled",ansi)
        try: r=ask(line)
        except Exception as x: r="!?"+str(x)[:100].replace("\n"," ")
        out.write(("A" if ansi=="true" else "L")+"\t"+line+"\t"+"\t".join(esc(p) for p in r.split("\t",3))+"\n")
out.close()
